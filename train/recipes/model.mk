# make model  train the built-in model further on ../shared/audio and ../shared/audio_wild (AUDIO, WILD); hours on a CPU
#
# What is made lies in runs/model: each step is done once, and training resumes where it was interrupted. It starts from
# the built-in model's weights (INIT). The teacher is BirdNET (CC BY-NC-SA 4.0: you are asked to accept its licence, or say
# so with ACCEPT_LICENSE=1). Training is compiled: it needs a C++ compiler. On a GPU: FIT_OPTIONS='--device cuda'.
AUDIO ?= ../shared/audio
WILD ?= ../shared/audio_wild
INIT ?= $(wildcard birdwatch/model/builtin/*.onnx)
VARIED ?= 15000
MODEL := runs/model
MODEL_NAME := birdwatch-647
TRAIN := $(TEST)/python -m train
CREDIT := Teacher: BirdNET V2.4 by the K. Lisa Yang Center for Conservation Bioacoustics at the Cornell Lab of \
	Ornithology and Chemnitz University of Technology (CC BY-NC-SA 4.0)

# The folder that holds both, to which the pool's filenames are relative.
AUDIO_ROOT = $(abspath $(AUDIO)/..)
POOL := $(MODEL)/pool
LISTEN = --data $(POOL)/trained.csv --audio-root $(AUDIO_ROOT)
LEARN = --config train/recipes/$(MODEL_NAME).toml $(LISTEN) --taxonomy $(MODEL)/labels.csv
LEARN += --soft-labels $(MODEL)/soft.csv --cache $(MODEL)/mels --background $(POOL)/background

.PHONY: model
model: $(MODEL)/$(MODEL_NAME).onnx
	@ls -l $(MODEL)/$(MODEL_NAME).*

# ESC-10's fifth part is never trained on: it counts false alarms.
$(POOL)/made: train/recipes/pool.py | $(TEST_VENV)/installed
	$(TEST)/birdwatch model add birdnet --no-translations $(if $(ACCEPT_LICENSE),--accept-license)
	$(TEST)/python train/recipes/pool.py $(AUDIO) $(WILD) $(POOL)
	ln -sf $(abspath $(AUDIO))/background/esc10_[1-4]-*.ogg $(POOL)/background
	touch $@

$(MODEL)/sounds/made: train/recipes/other_sounds.py | $(TEST_VENV)/installed
	mkdir -p $(MODEL)/sounds
	ln -sf $(abspath $(AUDIO))/background/esc10_5-*.ogg $(MODEL)/sounds
	$(TEST)/python train/recipes/other_sounds.py $(MODEL)/sounds
	touch $@

$(MODEL)/soundscapes/truth.csv: train/recipes/soundscapes.py $(POOL)/made $(MODEL)/sounds/made
	PYTHONPATH=. $(TEST)/python train/recipes/soundscapes.py $(POOL)/held_out.csv $(AUDIO_ROOT) $(MODEL)/sounds $(MODEL)/soundscapes

# The table is renamed into place last: where it is, the embeddings are.
$(MODEL)/soft.csv: $(POOL)/made
	$(TRAIN) teach --model birdnet $(LISTEN) --taxonomy $(POOL)/taxonomy.csv --labels-out $(MODEL)/labels.csv \
		--embeddings-out $(MODEL)/teacher.npz --out $@

# Synthetic mixtures, faster and slower, each scored by the teacher; resumes if interrupted. 1 GB. With another number of
# threads the embeddings differ in their last bit (0.002).
$(MODEL)/varied/done: $(MODEL)/soft.csv
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(TRAIN) vary $(LEARN) --model birdnet --count $(VARIED) \
		--out $(MODEL)/varied
	touch $@

# Half-trained runs resume, so the marker is written last.
$(MODEL)/fit/done: $(MODEL)/varied/done
	$(TRAIN) fit $(LEARN) --teacher $(MODEL)/teacher.npz --varied $(MODEL)/varied --init $(INIT) --freeze-stages 3 --fold none \
		--resume $(FIT_OPTIONS) --out $(MODEL)/fit
	touch $@

# The recordists' labels make the last layer surer of what the network detects.
$(MODEL)/head.pt: $(MODEL)/fit/done
	$(TEST)/python -m export $(MODEL)/fit/full/best.pt --out $(MODEL)/body.onnx
	$(TRAIN) head --model $(MODEL)/body.onnx $(LISTEN) --out $@

$(MODEL)/card/manifest.json: $(MODEL)/head.pt $(MODEL)/sounds/made $(MODEL)/soundscapes/truth.csv
	$(TEST)/python -m export $(MODEL)/head.pt --out $(MODEL)/fit.onnx
	$(TRAIN) card --model $(MODEL)/fit.onnx --trained $(POOL)/trained.csv \
		--held-out $(POOL)/held_out.csv --outside $(POOL)/outside.csv --audio-root $(AUDIO_ROOT) --compare birdnet \
		--background $(AUDIO)/background.csv --background-root $(MODEL)/sounds --soundscapes $(MODEL)/soundscapes \
		--template train/recipes/$(MODEL_NAME).md --credit "$(CREDIT)" --out $(MODEL)/card
	cp $(MODEL)/card/card.md $(MODEL)/$(MODEL_NAME).md
	$(TEST)/python train/recipes/regions.py $(POOL)/taxonomy.csv $(MODEL)/regions.csv

# Stored in half the bytes where that keeps every score within 1e-3; the export refuses to write it where it does not.
SHIP = $(TEST)/python -m export $(MODEL)/head.pt --manifest $(MODEL)/card/manifest.json
SHIP += --audio $(wildcard $(AUDIO)/train_audio/*/*00.ogg)
$(MODEL)/$(MODEL_NAME).onnx: $(MODEL)/card/manifest.json
	$(SHIP) --storage fp16 --out $@ || $(SHIP) --out $@
