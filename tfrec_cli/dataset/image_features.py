"""Which features of a record of another program hold images, and which of them is the image.

Knows: that a record may hold several images. Must not know: what is done with them.
"""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.dataset.records import NAMES, Names
from tfrec_cli.errors import DataError
from tfrec_cli.imaging import formats, png
from tfrec_cli.runtime import values
from tfrec_cli.tfrecord.example import Feature

_USUAL = NAMES["tf-models"].image
"""The name of the image that counts before all others."""

_ANY_IMAGE = Feature("bytes", [b"\xff\xd8\xff"])


def image_word(value: bytes) -> str | None:
    """Return a word for the format of an image: ``JPEG``, ``16-bit PNG``; None for other bytes."""
    image_format = formats.image_format(value[: formats.HEAD_BYTES])
    if image_format is None:
        return None
    return ("16-bit " if png.is_deep(value) else "") + image_format.upper()


def images_of(features: Mapping[str, Feature]) -> dict[str, list[str]]:
    """Return the features that hold images, each with the format of each of its images."""
    words = {
        name: [image_word(value) for value in feature.values]
        for name, feature in features.items()
        if feature.kind == "bytes"
    }
    return {name: [word for word in found if word] for name, found in words.items() if any(found)}


def find_names(features: Mapping[str, Feature], image: str | None = None) -> Names:
    """Find the image and its size, label and so on in the Example of any program.

    Args:
        image: the feature that holds the image. If None, that is the one with a name in common
            use, or else the only one that holds an image.
    Raises:
        DataError: there is no image, or it is not certain which of several it is.
    """
    if image is not None:
        return _named(features, image)
    found = images_of(features)
    names = guess_names(features)
    if names is not None:
        rival = _rival(features, names)
        if rival is None:
            return names
        raise _several({name: found.get(name, ["raw"]) for name in (names.image, rival)})
    if len(found) > 1:
        raise _several(found)
    for name in found:
        return _named(features, name)
    raise DataError(f"found features {', '.join(features)}, expected one that holds an image")


def has_image(features: Mapping[str, Feature], image: str | None = None) -> bool:
    """Return whether `find_names` would find an image, or several."""
    if image is not None:
        return image in features
    return guess_names(features) is not None or bool(images_of(features))


def usual_image(features: Mapping[str, Feature]) -> str | None:
    """Return the only feature that has a name in common use and holds an image, or None."""
    names = guess_names(features)
    return names.image if names and _rival(features, names) is None else None


def related_names(features: Mapping[str, Feature]) -> Names:
    """Return the names of size, label and so on, whichever feature is the image."""
    names = guess_names({**features, _USUAL: _ANY_IMAGE})
    assert names is not None
    return names


def _rival(features: Mapping[str, Feature], names: Names) -> str | None:
    """Return a second feature that has a name in common use and holds an image."""
    rest = {name: feature for name, feature in features.items() if name != names.image}
    rival = guess_names(rest)
    return rival.image if rival else None


def _named(features: Mapping[str, Feature], image: str) -> Names:
    """Find the names of features, if that of the image is known."""
    feature = features.get(image)
    if feature is None:
        named = ", ".join(features)
        raise DataError(f"found features {named}, expected {image!r} among them (`image`)")
    if feature.kind != "bytes" or len(feature.values) != 1:
        count = len(feature.values)
        found = images_of({image: feature}).get(image, [])
        noun = "image" if len(found) == count else f"{feature.kind} value"
        what = values.plural(count, noun)
        raise DataError(f"feature {image!r}: found {what} in a record, expected one image")
    names = guess_names({**features, _USUAL: feature})
    if names is None or names.image != _USUAL:
        head = feature.values[0][: formats.HEAD_BYTES]
        raise DataError(f"feature {image!r}: found {formats.describe(head)}, expected an image")
    return names._replace(image=image)


def _several(found: Mapping[str, list[str]]) -> DataError:
    listed = ", ".join(
        f"{name} ({', '.join(dict.fromkeys(words))})" for name, words in found.items()
    )
    return DataError(f"found images in {listed}, expected the name of the one to take: `image`")
