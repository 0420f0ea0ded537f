"""Git: the commit that a run started from, and the winner as commits on a new branch.

Commits are built from blobs and trees with an index in a temporary folder, so the user's branch,
index and working tree stay as they are. GitPython is imported where it is used: it needs a git.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from evolver.errors import UsageError
from evolver.search.evidence import SEED, Evidence, Interval
from evolver.types import Elite, Files
from evolver.wording import shell, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from git import Commit, Repo

_ABSENT = "0" * 40  # what `git update-ref` takes for "must not exist yet"


@dataclass(frozen=True)
class State:
    """The repository of a folder.

    Attributes:
        root: its working tree.
        commit: the checked-out commit; "" if there is none yet.
        branch: the checked-out branch; "" if HEAD is detached.
        dirty: whether tracked files differ from the commit.
    """

    root: Path
    commit: str
    branch: str
    dirty: bool


@dataclass(frozen=True)
class Step:
    """One commit to make: the task's editable files, and the message."""

    files: Files
    message: str


def _open(folder: Path) -> Repo | None:
    # Without this GitPython raises at import on a machine that has no git.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import git

    try:
        # A name may have a $ in it.
        repository = git.Repo(folder, search_parent_directories=True, expand_vars=False)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        return None
    if repository.bare:
        return None
    # GitPython expands $HOME in a folder's name, and then runs git in the current folder.
    repository.git.set_persistent_git_options(C=str(repository.working_dir))
    return repository


@contextmanager
def _sentences(doing: str) -> Iterator[None]:
    """Turn git's errors into evolver's."""
    import git

    try:
        yield
    except git.GitCommandNotFound as error:
        raise UsageError(f"{doing} needs git, which is not installed; install it") from error
    except git.GitCommandError as error:
        said = str(error.stderr).strip().removeprefix("stderr:").strip(" '\n")
        raise UsageError(f"{doing} failed; git says: {said}") from error


def state(folder: Path) -> State | None:
    """Return the state of a folder's repository.

    None if the folder lies in no repository, or this host has no git.

    Raises:
        UsageError: git refuses to read the repository.
    """
    repository = _open(folder)
    if repository is None:
        return None
    import git

    with _sentences("reading the repository"):
        try:
            commit = repository.head.commit.hexsha if repository.head.is_valid() else ""
            branch = "" if repository.head.is_detached else repository.active_branch.name
            dirty = bool(commit) and repository.is_dirty(untracked_files=False)
        except git.GitCommandNotFound:
            return None  # a run only notes the state, and needs no git
    return State(Path(repository.working_dir), commit, branch, dirty)


def project_of(folder: Path) -> Path | None:
    """Return the root of a folder's repository; None if git finds none."""
    try:
        found = state(folder)
    except UsageError:  # git refuses to read it, so no branch can be made there
        return None
    return None if found is None else found.root.resolve()


def _repository_of(folder: Path) -> Repo:
    if not folder.is_dir():
        raise UsageError(
            f"the folder of the task's program, {folder}, no longer exists; put it back, or "
            "take the program from the run directory"
        )
    repository = _open(folder)
    if repository is None:
        raise UsageError(
            f"{folder} is not in a git repository; put it into one ('git init', then commit), or "
            "take the program from the run directory"
        )
    return repository


def _placed(repository: Repo, folder: Path, files: Files) -> Files:
    """Return files of a folder by their paths in the repository."""
    prefix = folder.resolve().relative_to(Path(repository.working_dir).resolve())
    return {(prefix / path).as_posix(): content for path, content in files.items()}


def apply(
    folder: Path,
    seed: Files,
    steps: Sequence[Step],
    branch: str,
    *,
    recorded: str = "",
) -> str:
    """Put the steps on a new branch, one commit each; change nothing else.

    The branch starts at the checked-out commit or, if the program has changed there, at the commit
    that the run recorded.

    Args:
        folder: the task's folder, somewhere in a repository.
        seed: the editable files as the run started from them; paths relative to `folder`.
        steps: the commits, oldest first; a step that changes no file makes no commit.
        branch: name of the branch to make.
        recorded: the commit that was checked out when the run started, or "".

    Returns:
        The hash of the last commit.

    Raises:
        UsageError: no repository, the branch exists, the program as the run started from it is in
            neither commit, no step changes a file, or git refuses.
    """
    repository = _repository_of(folder)
    with _sentences(f"making the branch '{branch}'"):
        _check_branch(repository, branch)
        base = _base_of(repository, _placed(repository, folder, seed), recorded)
        with tempfile.TemporaryDirectory() as scratch:
            index = {
                "GIT_INDEX_FILE": str(Path(scratch) / "index"),
                "GIT_LITERAL_PATHSPECS": "1",  # names are not patterns
            }
            repository.git.read_tree(base, env=index)
            commit = base
            for step in steps:
                files = _placed(repository, folder, step.files)
                commit = _commit(repository, files, step.message, commit, index)
        if commit == base:
            raise UsageError("the repository holds this program already; there is nothing to apply")
        repository.git.update_ref(f"refs/heads/{branch}", commit, _ABSENT)
    return commit


def check(folder: Path, seed: Files, branch: str, *, recorded: str = "") -> None:
    """Make the checks of `apply` that need no steps.

    Raises:
        UsageError: as `apply`.
    """
    repository = _repository_of(folder)
    with _sentences(f"making the branch '{branch}'"):
        _check_branch(repository, branch)
        _base_of(repository, _placed(repository, folder, seed), recorded)


def steps_of(
    lineage: Sequence[Elite],
    directions: Sequence[tuple[str, str]],
    evidence: Evidence,
    source: str,
    *,
    each: bool,
) -> list[Step]:
    """Describe a lineage as commits: what changed, and how far the gain is confirmed.

    A commit's first line names the gain if both programs were confirmed, or if the evaluator
    repeats itself exactly. Other values are marked as measured once.

    Args:
        lineage: from the seed to the winner, each with the evaluation that counts.
        directions: (metric, "maximize" | "minimize"), the order of the objectives.
        evidence: repeated measurements of them.
        source: one line that names the run.
        each: whether every step has a commit; otherwise there is one for all.
    """
    first, last = lineage[0], lineage[-1]
    ends = list(pairwise(lineage)) if each else [(first, last)]
    steps = [
        Step(child.program.files, _message(parent, child, directions, evidence, source))
        for parent, child in ends
    ]
    if len(steps) > 1 and not evidence.is_exact:
        told = "\n".join(["All steps together:", *_known(first, last, directions, evidence)])
        steps[-1] = replace(steps[-1], message=f"{steps[-1].message}\n\n{told}")
    return steps


def _message(
    parent: Elite,
    child: Elite,
    directions: Sequence[tuple[str, str]],
    evidence: Evidence,
    source: str,
) -> str:
    before, after = parent.evaluation.metrics, child.evaluation.metrics
    changed = [
        f"{metric} {before[metric]:.6g} -> {after[metric]:.6g}"
        for metric, _ in directions
        if before[metric] != after[metric]
    ]
    title = f"program {child.program.id} by {child.program.operator}"
    if _is_known(parent, child, evidence):
        title = ", ".join(changed) or "same score, another program"
    lines = [f"evolver: {title}", ""]
    if child.program.summary:
        lines += [visible(child.program.summary), ""]
    lines += [
        *_known(parent, child, directions, evidence),
        "",
        f"Program {child.program.id} by {child.program.operator}, from program "
        f"{parent.program.id}; isolation {child.evaluation.isolation or 'unknown'}.",
        source,
    ]
    return "\n".join(lines)


def _is_known(parent: Elite, child: Elite, evidence: Evidence) -> bool:
    """Tell whether the values of both are confirmed."""
    return evidence.is_exact or {parent.program.id, child.program.id} <= set(evidence.confirmed)


def _known(
    parent: Elite, child: Elite, directions: Sequence[tuple[str, str]], evidence: Evidence
) -> list[str]:
    """Write each objective of both, with bounds if confirmed, and a sentence on the gain."""
    lines = []
    for number, (metric, direction) in enumerate(directions):
        ends = []
        for elite in (parent, child):
            known = evidence.confirmed.get(elite.program.id)
            bounds = "" if known is None else _bounds(known.intervals[number], direction)
            ends.append(f"{elite.evaluation.metrics[metric]:.6g}{bounds}")
        lines.append(f"{metric} {ends[0]} -> {ends[1]} ({direction}d)")
    return [*lines, _worth(parent, child, evidence)]


def _bounds(found: Interval, direction: str) -> str:
    if not math.isfinite(found.low) or found.low == found.high:
        return ""
    own = -found if direction == "minimize" else found
    return f" [{own.low:.6g}, {own.high:.6g}]"


def _worth(parent: Elite, child: Elite, evidence: Evidence) -> str:
    """Say how far a step's gain is confirmed."""
    number = child.program.id
    if evidence.is_exact:
        return "Measured again on fresh inputs: the evaluator repeats itself exactly."
    if not _is_known(parent, child, evidence):
        return "Not confirmed: values measured once may be luck."
    told = f"Confirmed on {len(evidence.confirmed[number].repeats)} fresh inputs"
    if parent.program.id != SEED:
        return f"{told}."
    if evidence.establishes(number):
        return f"{told}: better than the seed by more than the noise."
    return f"{told}: no better than the seed within the noise."


def _check_branch(repository: Repo, branch: str) -> None:
    import git

    try:
        repository.git.check_ref_format(f"refs/heads/{branch}")
    except git.GitCommandError:
        raise UsageError(f"'{branch}' is no valid branch name; choose another --branch") from None
    if branch in [head.name for head in repository.heads]:
        raise UsageError(
            f"the branch '{branch}' exists already; choose another --branch, or delete it by "
            f"'{shell('git', 'branch', '-D', branch)}'"
        )


def _blob(repository: Repo, path: str, content: bytes, *options: str) -> str:
    """Hash content as git would store it at a path, its line-ending and other filters applied."""
    with tempfile.TemporaryFile() as file:  # a real one: GitPython hands it to git as stdin
        file.write(content)
        file.seek(0)
        return str(repository.git.hash_object(*options, "--stdin", path=path, istream=file))


def _held(commit: Commit, path: str) -> str | None:
    try:
        return commit.tree.join(path).hexsha
    except KeyError:
        return None


def _base_of(repository: Repo, seed: Files, recorded: str) -> str:
    """Return the first of HEAD and the recorded commit that holds the seed's files."""
    wanted = {path: _blob(repository, path, content) for path, content in seed.items()}
    missing = "nothing is committed yet"
    for revision in ("HEAD", recorded):
        if not revision or (revision == "HEAD" and not repository.head.is_valid()):
            continue
        commit = repository.commit(revision)
        differing = [path for path in wanted if _held(commit, path) != wanted[path]]
        if not differing:
            return commit.hexsha
        missing = f"{', '.join(differing)} differs from commit {commit.hexsha[:10]}"
    raise UsageError(
        f"the run started from a program that is not committed ({missing}); commit that program "
        "('evolver show' prints it with id 0), then apply again"
    )


def _commit(
    repository: Repo, files: Files, message: str, parent: str, index: dict[str, str]
) -> str:
    """Commit the files on top of a parent; return the parent if they change nothing."""
    for path, content in files.items():
        mode = str(repository.git.ls_files("--stage", "--", path, env=index)).split(" ", 1)[0]
        blob = _blob(repository, path, content, "-w")
        repository.git.update_index("--cacheinfo", f"{mode},{blob},{path}", env=index)
    tree = str(repository.git.write_tree(env=index))
    if tree == repository.commit(parent).tree.hexsha:
        return parent
    return str(repository.git.commit_tree(tree, p=parent, m=message))
