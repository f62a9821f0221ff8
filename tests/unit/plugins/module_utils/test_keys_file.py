"""The file of values: for its owner alone at every moment, and whole at every moment."""

from __future__ import annotations

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.rhpds.litemaas.plugins.module_utils import keys_file
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys_file import KeysFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


def test_what_is_written_is_read_and_nothing_is_left_beside_it(path):
    file = KeysFile(str(path))
    assert file.read() == {}
    for values in ({"a": "sk-1"}, {"a": "sk-2", "b": "sk-3"}):
        file.write(values)
        assert file.read() == values
        assert os.listdir(path.parent) == ["keys.json"]
    file.write({})
    file.write({})
    assert os.listdir(path.parent) == []


def test_nobody_else_can_read_it_at_any_moment(path, monkeypatch):
    modes, replace = [], os.replace

    def look(draft, place):
        modes.append(stat.S_IMODE(os.stat(draft).st_mode))
        replace(draft, place)

    monkeypatch.setattr(keys_file.os, "replace", look)
    before = os.umask(0)
    try:
        KeysFile(str(path)).write({"a": "sk-1"})
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert KeysFile(str(path)).is_private()
    path.chmod(0o640)
    assert not KeysFile(str(path)).is_private()


def test_it_is_on_the_disk_before_it_is_in_its_place(path, monkeypatch):
    steps, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(keys_file.os, "fsync", lambda descriptor: (steps.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(keys_file.os, "replace", lambda draft, place: (steps.append("replace"), replace(draft, place)))
    KeysFile(str(path)).write({"a": "sk-1"})
    assert steps == ["fsync", "replace", "fsync"]


def test_a_full_disk_leaves_the_old_content_and_no_draft(path, monkeypatch):
    file = KeysFile(str(path))
    file.write({"a": "sk-1"})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keys_file.os, "fsync", full)
    with pytest.raises(LiteLLMError, match="No space left on device"):
        file.write({"a": "sk-2"})
    assert file.read() == {"a": "sk-1"}
    assert os.listdir(path.parent) == ["keys.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": ""}', "{"])
def test_other_content_is_refused_and_kept(path, content):
    path.write_text(content)
    with pytest.raises(LiteLLMError, match="does not hold aliases and values"):
        KeysFile(str(path)).read()
    assert path.read_text() == content


def test_what_is_no_text_is_refused(path):
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LiteLLMError, match="holds something else"):
        KeysFile(str(path)).read()


def test_links_folders_and_pipes_are_refused(path):
    path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(LiteLLMError, match="It is a link"):
        KeysFile(str(path)).read()
    path.unlink()
    path.mkdir()
    with pytest.raises(LiteLLMError, match="is not a file"):
        KeysFile(str(path)).read()
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(LiteLLMError, match="is not a file"):
        KeysFile(str(path)).read()


def test_anothers_file_is_refused(path, monkeypatch):
    path.write_text("{}")
    owner = os.geteuid()
    monkeypatch.setattr(keys_file.os, "geteuid", lambda: owner + 1)
    with pytest.raises(LiteLLMError, match="belongs to somebody else"):
        KeysFile(str(path)).read()


def test_a_folder_that_everybody_writes_to_is_refused_unless_files_stay_their_owners(path):
    path.parent.chmod(0o777)
    with pytest.raises(LiteLLMError, match="everybody may put files into"):
        KeysFile(str(path)).read()
    path.parent.chmod(0o1777)
    assert KeysFile(str(path)).read() == {}


def test_a_folder_that_is_missing_is_named(path):
    with pytest.raises(LiteLLMError, match=r"there is no folder .*/nowhere"):
        KeysFile(str(path.parent / "nowhere" / "keys.json")).read()


def test_two_tasks_work_on_a_file_one_after_the_other(path):
    def work(alias):
        file = KeysFile(str(path))
        with file.alone():
            values = file.read()
            time.sleep(0.2)
            file.write({**values, alias: "sk-1"})

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, "abc"))
    assert KeysFile(str(path)).read() == dict.fromkeys("abc", "sk-1")
    assert os.listdir(path.parent) == ["keys.json"]
