"""Models on the Hugging Face Hub, fetched by ``hf://owner/name``."""

from __future__ import annotations

import functools
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from memgate.errors import InputError

HUB = "hf://"

TIMEOUT = 10.0
"""Seconds until the Hub counts as out of reach; its client by default waits for ever."""


class OutOfReachError(Exception):
    """There is no network, or the user asked for none (``HF_HUB_OFFLINE=1``)."""


def fetch(uri: str) -> Path:
    """Return the local folder of a model on the Hub; without network, that of the local cache.

    Args:
        uri: ``hf://owner/name``; a branch, tag or commit may follow after ``@``.

    Raises:
        InputError: The Hub has no such model; or it can't be reached and the cache has none either.
    """
    repository, _, revision = uri.removeprefix(HUB).partition("@")
    download = functools.partial(
        huggingface_hub.snapshot_download, repository, revision=revision or None
    )
    try:
        if not is_on_hub(repository, revision or None):
            raise InputError(f"{uri}: expected a model on the Hugging Face Hub, found none")
        return Path(download())
    except OutOfReachError as error:
        return _from_cache(uri, download, error)
    except InputError:
        raise
    except Exception as error:  # the Hub's refusals, and the errors of its HTTP client
        raise InputError(f"{uri}: can't be fetched: {first_line(error)}") from error


def _from_cache(uri: str, download: functools.partial[str], error: Exception) -> Path:
    try:
        return Path(download(local_files_only=True))
    except LocalEntryNotFoundError:
        raise InputError(
            f"{uri}: the Hugging Face Hub can't be reached ({error}), and the model isn't in the "
            "local cache; download its files elsewhere and name their folder"
        ) from error


def is_on_hub(repository: str, revision: str | None = None) -> bool:
    """Return whether the Hub has a model.

    Raises:
        InputError: The Hub refuses the question.
        OutOfReachError: The Hub doesn't answer.
    """
    try:
        huggingface_hub.HfApi().model_info(repository, revision=revision, timeout=TIMEOUT)
    except RepositoryNotFoundError:
        return False
    except (HfHubHTTPError, HFValidationError) as error:
        raise InputError(
            f"{repository}: the Hugging Face Hub reports: {first_line(error)}"
        ) from error
    except Exception as error:  # the Hub's HTTP client, another one from version to version
        raise OutOfReachError(first_line(error)) from error
    return True


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
