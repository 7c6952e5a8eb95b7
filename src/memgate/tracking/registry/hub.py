"""Models on the Hugging Face Hub: fetched by ``hf://owner/name``, and pushed as a folder."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from memgate import __version__
from memgate.errors import InputError

HUB = "hf://"

TIMEOUT = 10.0
"""Seconds until the Hub counts as out of reach; its client waits for ever of itself."""


class _OutOfReachError(Exception):
    """There is no network, or the user asked for none (``HF_HUB_OFFLINE=1``)."""


def fetch(uri: str) -> Path:
    """Return the local folder of a model on the Hub; without network that of the local cache.

    Args:
        uri: ``hf://owner/name``, and after ``@`` perhaps a branch, tag or commit.

    Raises:
        InputError: The Hub has no such model, or can't be reached and the cache hasn't it either.
    """
    repository, _, revision = uri.removeprefix(HUB).partition("@")
    download = functools.partial(
        huggingface_hub.snapshot_download, repository, revision=revision or None
    )
    try:
        if not _exists(repository, revision or None):
            raise InputError(f"{uri}: expected a model on the Hugging Face Hub, found none")
        return Path(download())
    except _OutOfReachError as error:
        return _cached(uri, download, error)
    except InputError:
        raise
    except Exception as error:  # the Hub's refusals, and those of its HTTP client
        raise InputError(f"{uri}: can't be fetched: {_line(error)}") from error


def _cached(uri: str, download: functools.partial[str], error: Exception) -> Path:
    try:
        return Path(download(local_files_only=True))
    except LocalEntryNotFoundError:
        raise InputError(
            f"{uri}: the Hugging Face Hub can't be reached ({error}), and the model isn't in the "
            "local cache; download its files elsewhere and name their folder"
        ) from error


def check_push(repository: str) -> None:
    """See that a folder can be pushed, before it is made.

    Args:
        repository: ``owner/name``.

    Raises:
        InputError: It is no such name, nobody is logged in, or the Hub can't be reached.
    """
    if huggingface_hub.get_token() is None:
        raise InputError(
            "--push: nobody is logged in to the Hugging Face Hub; `hf auth login`, or set HF_TOKEN"
        )
    try:
        _exists(repository)
    except _OutOfReachError as error:
        raise InputError(
            f"--push: the Hugging Face Hub can't be reached ({error}); without --push the folder "
            f"is written, and later `hf upload {repository} DIR` pushes it"
        ) from error


def push(folder: Path, repository: str, own: Sequence[str]) -> str:
    """Push a folder as one commit to a model repository, made where it is missing.

    Args:
        folder: What is pushed.
        repository: ``owner/name``.
        own: Names and patterns of what earlier pushes may have left; what the folder hasn't any
            more is deleted, other files in the repository stay.

    Returns:
        The address of the commit.

    Raises:
        InputError: The Hub refuses it, or went out of reach.
    """
    api = huggingface_hub.HfApi(library_name="memgate", library_version=__version__)
    try:
        done = api.upload_folder(
            repo_id=api.create_repo(repository, exist_ok=True).repo_id,
            folder_path=folder,
            commit_message=f"memgate {__version__}",
            delete_patterns=list(own),
        )
    except Exception as error:  # the Hub's refusals, and those of its HTTP client
        raise InputError(
            f"--push: {repository}: the folder {folder} was written but not pushed: {_line(error)}"
        ) from error
    return str(done.commit_url)


def _exists(repository: str, revision: str | None = None) -> bool:
    """Say whether the Hub has a model.

    Raises:
        InputError: The Hub refuses the question.
        _OutOfReachError: There is no answer.
    """
    try:
        huggingface_hub.HfApi().model_info(repository, revision=revision, timeout=TIMEOUT)
    except RepositoryNotFoundError:
        return False
    except (HfHubHTTPError, HFValidationError) as error:
        raise InputError(f"{repository}: the Hugging Face Hub says: {_line(error)}") from error
    except Exception as error:  # the Hub's HTTP client, another one from version to version
        raise _OutOfReachError(_line(error)) from error
    return True


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
