"""Sets laid out as folders: the name of a folder is the class of the images in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...shared.errors import ContractError, SourceError
from .features import LONGEST_NAME, MAX_CLASSES
from .listing import SPLIT_WORDS, SPLITS, Entry, Listing, named
from .reading import IMAGE_SUFFIXES, is_image

LAYOUT = "a folder for each class with its images in it, or train and test (and validation) with such folders inside"
_UNSEEN = ("__MACOSX",)
Found = tuple[Path, Path]  # a file, and its place below the set's folder


def list_folder(path: Path) -> Listing:
    """List the images of a folder with one sub-folder a class, or one a split with the classes inside.

    Hidden files are passed over, and files that are no images are counted.

    Raises:
        SourceError: the folder cannot be read.
        ContractError: there are no images, images outside of class folders, fewer than two classes, classes that
            training would never see, or links that lead out of the folder.
    """
    try:
        found, links = _files(path)
        images = [item for item in found if is_image(item[0])]
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error
    source = path.resolve().name
    if not images:
        raise ContractError(f"{path}: found no images among {len(found):,} files. Expected {LAYOUT}.")
    splits = _splits(path, images)
    problems = [*_wrong_links(path, found), *_outside(images, depth=2 if splits else 1)]
    entries = tuple(_entry(item, splits) for item in images if len(item[1].parts) > (2 if splits else 1))
    problems += _wrong_classes(entries)
    if problems:
        raise ContractError(f"{path} is not laid out as a set of images:\n" + "\n".join(f"  - {p}" for p in problems))
    return Listing(entries, source, tuple(_notes(len(found) - len(images), links)))


def _files(path: Path) -> tuple[list[Found], int]:
    """Return the files below ``path`` in a fixed order, and how many linked folders were not entered."""
    found: list[Found] = []
    links = 0
    folders = [Path()]
    while folders:
        place = folders.pop()
        for item in sorted((path / place).iterdir()):
            if item.name.startswith(".") or item.name in _UNSEEN:
                continue
            if item.is_symlink() and item.is_dir() and item.resolve().is_relative_to(path.resolve()):
                links += 1  # entered once already, under its own name
            elif item.is_dir() and not item.is_symlink():
                folders.append(place / item.name)
            else:
                found.append((item, place / item.name))
    return sorted(found, key=lambda item: item[1].parts), links


def _splits(path: Path, images: Sequence[Found]) -> dict[str, str]:
    """Return top folder to split, if the set is divided already."""
    tops = sorted({place.parts[0] for _, place in images if len(place.parts) > 1})
    words = {top: SPLIT_WORDS[top.casefold()] for top in tops if top.casefold() in SPLIT_WORDS}
    if "train" not in words.values() or len(set(words.values())) < 2:
        return {}
    others = [top for top in tops if top not in words]
    if others:
        raise ContractError(
            f"{path}: found the folders {named(others)} beside {named(list(words))}. Expected {LAYOUT}; move the "
            "others away."
        )
    return words


def _wrong_links(path: Path, found: Sequence[Found]) -> Iterator[str]:
    home = path.resolve()
    away = [str(place) for item, place in found if item.is_symlink() and not _stays(item, home)]
    if away:
        yield f"{len(away):,} links lead out of the folder or nowhere: {named(away)}. Copy the files instead."


def _stays(item: Path, home: Path) -> bool:
    try:
        return item.resolve(strict=True).is_relative_to(home)
    except (OSError, RuntimeError):  # a link to nowhere, or to itself
        return False


def _outside(images: Sequence[Found], *, depth: int) -> Iterator[str]:
    outside = [str(place) for _, place in images if len(place.parts) <= depth]
    if outside:
        yield f"{len(outside):,} images lie outside of the class folders: {named(outside)}. Expected {LAYOUT}."


def _entry(item: Found, splits: dict[str, str]) -> Entry:
    file, place = item
    if splits:
        return Entry(file, (place.parts[1],), split=splits[place.parts[0]])
    return Entry(file, (place.parts[0],))


def _wrong_classes(entries: Sequence[Entry]) -> Iterator[str]:
    classes = sorted({label for entry in entries for label in entry.labels})
    odd = [name for name in classes if not name.isprintable() or len(name) > LONGEST_NAME]
    if odd:
        yield f"class folders with names that cannot be printed or are too long: {named([name[:40] for name in odd])}"
    if len(classes) == 1:
        yield f"found one class, {classes[0]!r}. Expected at least two: {LAYOUT}."
    if len(classes) > MAX_CLASSES:
        yield f"found {len(classes):,} classes. Expected at most {MAX_CLASSES:,}."
    if any(entry.split for entry in entries):
        taught = {entry.labels[0] for entry in entries if entry.split == SPLITS[0]}
        unseen = [name for name in classes if name not in taught]
        if unseen:
            yield f"the classes {named(unseen)} have no images in the training folder. Every class needs some."


def _notes(others: int, links: int) -> Iterator[str]:
    if others:
        yield f"{others:,} files are left out: they are no images by their names ({', '.join(IMAGE_SUFFIXES)})"
    if links:
        yield f"{links:,} linked folders were not entered; what they show lies in the folder already"
