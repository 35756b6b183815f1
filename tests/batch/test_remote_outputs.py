"""A dataset in a bucket is whole while its list is there, wherever its upload ends; over memory://."""

from __future__ import annotations

from pathlib import Path

import pytest

from birdwatch.batch.remote_outputs import check_remote_outputs, upload_outputs
from birdwatch.errors import SinkError
from birdwatch.tables.formats import Output

OLD, NEW = "site=a/date=2024-05-01/part-0.parquet", "site=a/date=2024-05-02/part-0.parquet"
LIST, UPLOADING = "/b/set.recordings.parquet", "/b/set.uploading"
BEFORE = {f"/b/set/{OLD}": b"old", f"/b/set/{NEW}": b"old too", LIST: b"old list"}
AFTER = {f"/b/set/{NEW}": b"new", LIST: b"new list"}


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path / "set", "parquet", folder=True, url="memory://b/set")


def fill(output: Output) -> None:
    path = output.path / NEW
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"new")
    output.path.with_name("set.recordings.parquet").write_bytes(b"new list")


def there(memory) -> dict[str, bytes]:
    return {path: memory.cat_file(path) for path in memory.find("/")}


@pytest.mark.parametrize("before", [{}, BEFORE])
def test_an_upload_that_ends_anywhere_leaves_no_list_of_what_is_not_there(memory, output, before, monkeypatch):
    """Each change of the bucket is the last one once; who reads then finds the old, the new, or no dataset."""
    changes = ("put_file", "pipe_file", "rm_file")
    plain = {name: getattr(memory, name) for name in changes}
    for last in range(10):
        memory.store.clear()
        for path, data in before.items():
            plain["pipe_file"](path, data)
        fill(output)
        left = last

        def change(name):
            def changed(*arguments, **options):
                nonlocal left
                if not left:
                    raise OSError("the network is gone")
                left -= 1
                return plain[name](*arguments, **options)

            return changed

        for name in changes:
            monkeypatch.setattr(memory, name, change(name))
        said = ""
        try:
            upload_outputs([output])
        except SinkError as error:
            said = str(error)
        for name in changes:
            monkeypatch.setattr(memory, name, plain[name])
        found = there(memory)
        marked = found.pop(UPLOADING, None) is not None
        if LIST in found:
            assert found in (before, AFTER)
        else:
            assert marked or (found == before == {})
        if not said:
            assert found == AFTER
            assert not marked
            break
        assert "--resume" in said
        # The same run once more: the parts are known as birdwatch's own.
        check_remote_outputs([output], inputs=())
        fill(output)
        upload_outputs([output])
        assert there(memory) == AFTER
    else:
        raise AssertionError("never whole")


def test_a_dataset_of_another_program_stays(memory, output):
    memory.pipe_file(f"/b/set/{OLD}", b"x")
    with pytest.raises(SinkError, match="so of another program"):
        check_remote_outputs([output], inputs=())
    assert there(memory) == {f"/b/set/{OLD}": b"x"}
