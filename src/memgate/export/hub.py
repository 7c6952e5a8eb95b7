"""An exported folder on the Hugging Face Hub: one commit to a model repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import huggingface_hub

from memgate import __version__
from memgate.errors import InputError
from memgate.tracking.registry.hub import OutOfReachError, first_line, is_on_hub


def check_push(repository: str) -> None:
    """Check that a folder can be pushed, before it is written.

    Raises:
        InputError: The name is invalid, nobody is logged in, or the Hub can't be reached.
    """
    if huggingface_hub.get_token() is None:
        raise InputError(
            "--push: nobody is logged in to the Hugging Face Hub; `hf auth login`, or set HF_TOKEN"
        )
    try:
        is_on_hub(repository)
    except OutOfReachError as error:
        raise InputError(
            f"--push: the Hugging Face Hub can't be reached ({error}); without --push the folder "
            f"is written, and later `hf upload {repository} DIR` pushes it"
        ) from error


def push_folder(folder: Path, repository: str, replaceable: Sequence[str]) -> str:
    """Push a folder as one commit to a model repository, which is created if it is missing.

    Args:
        folder: The exported folder.
        repository: ``owner/name``.
        replaceable: Names and patterns of the files that an earlier push may have left. Of these,
            files that the folder no longer has are deleted; other files in the repository stay.

    Returns:
        The address of the commit.

    Raises:
        InputError: The Hub refuses the push, or can't be reached any more.
    """
    api = huggingface_hub.HfApi(library_name="memgate", library_version=__version__)
    try:
        commit = api.upload_folder(
            repo_id=api.create_repo(repository, exist_ok=True).repo_id,
            folder_path=folder,
            commit_message=f"memgate {__version__}",
            delete_patterns=list(replaceable),
        )
    except Exception as error:  # the Hub's refusals, and the errors of its HTTP client
        raise InputError(
            f"--push: {repository}: the folder {folder} was written but not pushed: "
            f"{first_line(error)}"
        ) from error
    return str(commit.commit_url)
