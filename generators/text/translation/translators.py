"""The translators that a recipe can name, for one direction or there and back."""

import string
from pathlib import Path

from leaven.generators.errors import ModelError
from leaven.generators.text.endpoint import Endpoint
from leaven.generators.text.endpoint_parameters import EndpointParameters
from leaven.generators.text.translation.contract import Translator

OPUS = "Helsinki-NLP/opus-mt-{source}-{target}"
EMBEDDED = Path(__file__).parent / "models"


def pair(
    name: str,
    language: str,
    pivot: str,
    *,
    engine: str = "ctranslate2",
    endpoint: EndpointParameters | None = None,
    device: str = "cpu",
    threads: int = 2,
) -> tuple[Translator, Translator]:
    """Translators from a language into a pivot and back.

    Args:
        name: `embedded`, `marian`, `apertium`, or a folder or name with `{source}` and `{target}`.
        language, pivot: as two letters.
        engine: of Marian models: ctranslate2 or transformers.
        endpoint: the model behind it translates, whatever the name.
        device, threads: where they run.

    Raises:
        ModelError: no such translator; one that does not know the languages (names those that it knows).
    """
    if language == pivot:
        raise ModelError(f"pivot: '{pivot}' is the language of the texts; expected another one")
    if endpoint is not None:
        from leaven.generators.text.translation.by_endpoint import ByEndpoint

        asked = Endpoint(endpoint)
        return ByEndpoint(asked, language, pivot), ByEndpoint(asked, pivot, language)
    there, back = (
        one(name, source, target, engine=engine, device=device, threads=threads)
        for source, target in ((language, pivot), (pivot, language))
    )
    return there, back


def refuse(name: str, language: str, pivot: str) -> None:
    """Look whether both directions can be had, as far as can be seen without the model hub.

    Raises:
        ModelError: as `pair` does.
    """
    if language == pivot:
        raise ModelError(f"pivot: '{pivot}' is the language of the texts; expected another one")
    for source, target in ((language, pivot), (pivot, language)):
        if name == "apertium":
            from leaven.generators.text.translation.apertium import Apertium

            Apertium(source, target)
        elif name == "embedded":
            _embedded(source, target)
        elif name != "marian":
            from leaven.generators.text.translation.marian import local
            from leaven.generators.text.translation.packed import usable

            folder = local(_filled(name, source, target))
            if folder is not None:
                usable(folder)


def one(name: str, source: str, target: str, *, engine: str, device: str, threads: int) -> Translator:
    """The translator of one direction; see `pair`."""
    if name == "apertium":
        from leaven.generators.text.translation.apertium import Apertium

        return Apertium(source, target)
    from leaven.generators.text.translation.marian import Marian, found

    if name == "embedded":
        folder = embedded(source, target)
    else:
        from leaven.generators.text.translation.packed import usable

        folder = usable(found(_filled(OPUS if name == "marian" else name, source, target)))
    if engine == "transformers":
        from leaven.generators.text.translation.torch_marian import TorchMarian

        return TorchMarian(folder, source, target, device=device, threads=threads)
    return Marian(folder, source, target, device=device, threads=threads)


def embedded(source: str, target: str) -> Path:
    """The folder of Leaven's own model for a direction.

    Raises:
        ModelError: there is none; names the pivots that there are.
    """
    from leaven.generators.text.translation.packed import unpacked

    return unpacked(_embedded(source, target))


def _embedded(source: str, target: str) -> Path:
    """The packed model of a direction."""
    packed = EMBEDDED / f"{source}-{target}"
    if not packed.is_dir():
        pivots = sorted(
            {place.name.partition("-")[2] for place in EMBEDDED.glob("*-*")} - {source}
            if (EMBEDDED / f"{target}-{source}").is_dir() or source == "en"
            else {place.name for place in EMBEDDED.glob("*-*")}
        )
        raise ModelError(
            f"pivot: there is no embedded translator from '{source}' to '{target}'; there are: {', '.join(pivots)} "
            "(or name another translator)"
        )
    return packed


def _filled(name: str, source: str, target: str) -> str:
    """A name for one direction."""
    told = (
        f"translator: '{name}' must hold {{source}} and {{target}}, since both directions are needed; or it is one of "
        "embedded, marian, apertium"
    )
    try:
        if {field for _, field, _, _ in string.Formatter().parse(name) if field is not None} != {
            "source",
            "target",
        }:
            raise ModelError(told)
        return name.format(source=source, target=target)
    except (ValueError, LookupError):  # a bracket alone, or a form that no text has
        raise ModelError(told) from None
