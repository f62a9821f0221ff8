"""The file that holds the values of a set's keys: for its owner alone, and whole at every moment."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError


class KeysFile:
    """A JSON file of aliases and values that only its owner can read.

    It is written beside its place and then put there, so that whoever reads it, or a machine that stops, sees the old or the new
    content. Every method raises `LiteLLMError`, which names the file and what to do.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._folder = os.path.dirname(self.path)

    @contextlib.contextmanager
    def alone(self):
        """Wait until no other task works on a file of this folder, and keep others waiting.

        It is the folder that is locked: the file is replaced with each write, and a lock file would stay behind.
        """
        with self._told():
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(descriptor)

    def read(self) -> dict[str, str]:
        """Return the values by alias; none when there is no file. Says when it could not be written later."""
        with self._told():
            self._check_folder()
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:
                return {}
            try:
                self._check_owner(os.fstat(descriptor))
                with open(descriptor, encoding="utf-8", closefd=False) as file:
                    content = file.read()
            finally:
                os.close(descriptor)
        try:
            values = json.loads(content)
        except ValueError:
            values = None
        if not isinstance(values, dict) or not all(isinstance(value, str) and value for value in values.values()):
            raise LiteLLMError(f"keys_file: {self.path} does not hold aliases and values of keys as JSON. Repair it, or give another path.")
        return values

    def is_private(self) -> bool:
        """Whether nobody but the owner may read the file; also when there is none."""
        try:
            return stat.S_IMODE(os.lstat(self.path).st_mode) == 0o600
        except FileNotFoundError:
            return True

    def write(self, values: dict[str, str]) -> None:
        """Put these values in the file's place, and on the disk; without any the file goes."""
        with self._told():
            if values:
                self._replace(json.dumps(values, indent=1, sort_keys=True) + "\n")
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path)
            self._sync_folder()

    def _replace(self, content: str) -> None:
        descriptor, draft = tempfile.mkstemp(dir=self._folder, prefix=".keys-")  # for its owner alone from the start
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.replace(draft, self.path)
        except BaseException:
            os.unlink(draft)
            raise

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _check_folder(self) -> None:
        folder = os.stat(self._folder)
        if not stat.S_ISDIR(folder.st_mode):
            raise NotADirectoryError
        if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
            raise LiteLLMError(f"keys_file: everybody may put files into {self._folder}. Give a folder of your own.")
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise PermissionError

    def _check_owner(self, file: os.stat_result) -> None:
        if not stat.S_ISREG(file.st_mode):
            raise LiteLLMError(f"keys_file: {self.path} is not a file. Give another path.")
        if file.st_uid != os.geteuid():
            raise LiteLLMError(f"keys_file: {self.path} belongs to somebody else. Give another path.")

    @contextlib.contextmanager
    def _told(self):
        """Turn what the system says into a sentence."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise LiteLLMError(f"keys_file: there is no folder {self._folder}. Make it first, for its owner alone.") from None
        except PermissionError:
            raise LiteLLMError(f"keys_file: {self.path} can't be read and written by the user who runs the task.") from None
        except UnicodeDecodeError:
            raise LiteLLMError(f"keys_file: {self.path} holds something else. Give another path.") from None
        except OSError as error:
            link = " It is a link." if os.path.islink(self.path) else ""
            raise LiteLLMError(
                f"keys_file: {self.path}: {error.strerror}.{link} Give the path of a file in a folder of your own."
            ) from None
