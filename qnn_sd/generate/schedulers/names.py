"""Names of schedulers as people spell them: a sampler, and after it how its steps are spaced."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from qnn_sd.errors import UnknownSchedulerError, did_you_mean
from qnn_sd.generate.schedulers.base import Scheduler
from qnn_sd.generate.schedulers.ddim import Ddim
from qnn_sd.generate.schedulers.deis import Deis
from qnn_sd.generate.schedulers.dpm import DpmPlusPlus
from qnn_sd.generate.schedulers.euler import Euler, EulerAncestral, Heun
from qnn_sd.generate.schedulers.lcm import Lcm
from qnn_sd.generate.schedulers.pndm import Pndm
from qnn_sd.generate.schedulers.unipc import UniPc


@dataclass(frozen=True)
class Sampler:
    """What a name stands for.

    Attributes:
        kind: its class.
        settings: what it sets, whatever the checkpoint's config says.
        others: what else it is called, in small letters and without signs, ``pp`` for ``++``.
    """

    kind: type[Scheduler]
    settings: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def _sde(**settings: Any) -> Mapping[str, Any]:
    return {"algorithm_type": "sde-dpmsolver++", **settings}


# Others: diffusers' classes, k-diffusion, AUTOMATIC1111's, ComfyUI's, InvokeAI's and Local Dream's menus.
SAMPLERS: Mapping[str, Sampler] = {
    "dpm++2m": Sampler(
        DpmPlusPlus,
        others=(
            *("dpmpp2m", "dpmsolverpp", "dpmsolverpp2m", "dpmsolvermultistep", "dpmplusplus2m"),
            *("dpm", "dpm2m"),  # as scripts around diffusers, and Local Dream, call it
        ),
    ),
    "dpm++2m-sde": Sampler(
        DpmPlusPlus, _sde(), ("dpmpp2msde", "dpmpp2msdegpu", "sdedpmsolverpp", "dpmsde", "dpm2msde")
    ),
    "dpm++2m-sde-heun": Sampler(DpmPlusPlus, _sde(solver_type="heun"), ("dpmpp2msdeheun", "dpmpp2msdeheungpu")),
    "dpm++3m": Sampler(DpmPlusPlus, {"solver_order": 3}, ("dpmpp3m",)),
    "dpm++3m-sde": Sampler(DpmPlusPlus, _sde(solver_order=3), ("dpmpp3msde", "dpmpp3msdegpu")),
    "unipc": Sampler(UniPc, others=("unipcmultistep",)),
    "unipc-bh1": Sampler(UniPc, {"solver_type": "bh1"}, ("unipcbh1",)),
    "unipc-bh2": Sampler(UniPc, {"solver_type": "bh2"}, ("unipcbh2",)),
    "deis": Sampler(Deis, others=("deismultistep", "deis2m")),
    "euler": Sampler(Euler, others=("eulerdiscrete",)),
    "euler-a": Sampler(EulerAncestral, others=("eulera", "eulerancestral", "eulerancestraldiscrete")),
    "heun": Sampler(Heun, others=("heundiscrete", "heun2")),
    "ddim": Sampler(Ddim),
    "pndm": Sampler(Pndm, others=("plms",)),
    "lcm": Sampler(Lcm),
}

_BY_TIMES = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "use_lu_lambdas": False,
}
# Spacings by name, with what each sets: of noise levels, and of times.
SPACINGS: Mapping[str, Mapping[str, Any]] = {
    "karras": {**_BY_TIMES, "use_karras_sigmas": True},
    "exponential": {**_BY_TIMES, "use_exponential_sigmas": True},
    "lu": {**_BY_TIMES, "use_lu_lambdas": True},
    "sgm-uniform": {**_BY_TIMES, "timestep_spacing": "trailing"},
    "uniform": {**_BY_TIMES, "timestep_spacing": "linspace"},
    "leading": {**_BY_TIMES, "timestep_spacing": "leading"},
}
_OF_TIMES = ("sgm-uniform", "uniform", "leading")
# What else they are called.
_SPACING_WORDS: Mapping[str, str] = {
    **{"exponential": "exponential", "exp": "exponential", "karras": "karras", "ka": "karras", "k": "karras"},
    **{"sgmuniform": "sgm-uniform", "sgm": "sgm-uniform", "simple": "sgm-uniform", "trailing": "sgm-uniform"},
    **{"ddimuniform": "leading", "ddim": "leading", "leading": "leading", "lulambdas": "lu", "lu": "lu"},
    **{"linspace": "uniform", "uniform": "uniform", "normal": "uniform"},
}
# What web UIs take for Automatic, by sampler; of the others, the checkpoint's own spacing.
_AUTOMATIC: Mapping[str, str] = {
    **{"dpm++2m": "karras", "dpm++2m-sde": "exponential", "dpm++2m-sde-heun": "exponential"},
    **{"dpm++3m-sde": "exponential"},
}
# Spacings that others have, each with the nearest that is built.
_OTHER_SPACINGS: Mapping[str, str] = {
    **{
        "beta": "sgm-uniform",
        "polyexponential": "exponential",
        "kloptimal": "karras",
        "linearquadratic": "sgm-uniform",
    },
    **{"alignyoursteps": "karras", "ays": "karras", "turbo": "sgm-uniform", "beta57": "sgm-uniform"},
    **{"alignyourstepsgits": "karras", "gits": "karras", "bongtangent": "karras"},
}
# Samplers that others have, each with the nearest that is built.
_OTHER_SAMPLERS: Mapping[str, str] = {
    **dict.fromkeys(("dpmpp2s", "dpmpp2sa", "dpmpp2sancestral", "dpmsolversinglestep", "dpmsolversde"), "dpm++2m-sde"),
    **dict.fromkeys(("dpmppsde", "dpmppsdegpu", "dpmpp2ssde", "ersde", "cosinedpmsolvermultistep"), "dpm++2m-sde"),
    **dict.fromkeys(("dpmpp2sancestralcfgpp", "expheun2x0sde", "resmultistepancestral"), "dpm++2m-sde"),
    **dict.fromkeys(
        ("dpm2", "dpm2discrete", "kdpm2discrete", "dpm2s", "seeds2", "seeds3", "heunpp", "heunpp2"), "heun"
    ),
    **dict.fromkeys(("expheun2x0", "flowmatchheundiscrete"), "heun"),
    **dict.fromkeys(("dpm2a", "dpm2ancestral", "kdpm2ancestraldiscrete", "ddpm", "ddpmparallel"), "euler-a"),
    **dict.fromkeys(
        ("lms", "lmsdiscrete", "dpmfast", "dpmadaptive", "dpmsolver", "restart", "gradientestimation"), "dpm++2m"
    ),
    **dict.fromkeys(("dpmpp", "gradientestimationcfgpp", "sasolverpece", "dpmsolvermultistepinverse"), "dpm++2m"),
    **dict.fromkeys(("resmultistep", "resmultistepcfgpp"), "dpm++2m"),
    **dict.fromkeys(("ipndm", "ipndmv", "pndmprk"), "pndm"),
    **dict.fromkeys(("tcd", "lcmtcd", "flowmatchlcm"), "lcm"),
    **dict.fromkeys(("euleredm", "edmeuler", "eulercfgpp", "flowmatcheulerdiscrete", "flowmatch"), "euler"),
    **dict.fromkeys(("eulersmea", "eulerdy", "eulersmeady", "eulernegative"), "euler"),
    **dict.fromkeys(("eulerancestralcfgpp", "eulerancestralrf", "resmultistepancestralcfgpp"), "euler-a"),
    **dict.fromkeys(("edmdpmsolvermultistep", "dpmpp2mcfgpp", "sasolver"), "dpm++2m"),
    **dict.fromkeys(("ddimcfgpp", "ddiminverse", "ddimparallel"), "ddim"),
}
# Of samplers without spacings of levels, the nearest that has them.
_WITH_LEVELS: Mapping[str, str] = {"ddim": "euler", "pndm": "dpm++2m"}
# Shorter words for spacings are parts of other names.
_SHORT = 3


def _key(name: str) -> str:
    """What spellings of a name have in common."""
    key = re.sub(r"[\s_\-/,:;|()+]", "", name.lower().replace("++", "pp"))
    return key.replace("scheduler", "")


_KEYS = {key: own for own, sampler in SAMPLERS.items() for key in (_key(own), *sampler.others)}


def spacings_of(sampler: str) -> list[str]:
    """The spacings that a sampler can be asked for, by name."""
    kind = SAMPLERS[sampler].kind
    if kind is Lcm:  # it was distilled for its times
        return []
    names = [*_OF_TIMES]
    if issubclass(kind, (DpmPlusPlus, UniPc, Deis, Euler, Heun)):
        names = ["karras", "exponential", *names]
    return ["lu", *names] if kind is DpmPlusPlus else names


def all_names() -> Iterator[str]:
    """Every sampler, then each with the spacings of web UIs."""
    yield from SAMPLERS
    for sampler in SAMPLERS:
        yield from (
            f"{sampler}-{each}" for each in spacings_of(sampler) if each in ("karras", "exponential", "sgm-uniform")
        )


def split_name(name: str) -> tuple[str, str]:
    """The sampler and the spacing of a name that ``scheduler_named`` made; "" where it has no spacing."""
    for spacing in SPACINGS:
        if name.endswith(f"-{spacing}") and name.removesuffix(f"-{spacing}") in SAMPLERS:
            return name.removesuffix(f"-{spacing}"), spacing
    return name, ""


def scheduler_named(name: str) -> str:
    """The one name of a scheduler that people spell in many ways.

    Args:
        name: such as ``DPM++ 2M Karras``, ``dpmpp_2m_sde``, ``Euler a`` or ``EulerDiscreteScheduler``.

    Returns:
        A name in ``SAMPLERS``, with ``-`` and a name in ``SPACINGS`` where one was given.

    Raises:
        UnknownSchedulerError: there is none of that name, or one that isn't built, which is said with the nearest.
    """
    key = _key(name)
    for each in dict.fromkeys((key, key.removeprefix("k"), key.removeprefix("sample"))):
        for sampler, spacing in _readings(each):
            if sampler in _KEYS and spacing in ("", "automatic"):
                own = _KEYS[sampler]
                return _with_spacing(name, own, _AUTOMATIC.get(own, "") if spacing else "")
            if sampler in _KEYS and spacing in _SPACING_WORDS:
                return _with_spacing(name, _KEYS[sampler], _SPACING_WORDS[spacing])
    for each in dict.fromkeys((key, key.removeprefix("k"))):
        for sampler, spacing in _readings(each):
            if (sampler in _KEYS and spacing) or sampler in _OTHER_SAMPLERS:
                own = _KEYS.get(sampler) or _OTHER_SAMPLERS[sampler]
                _refuse(name, own, _spacing(spacing), sampler in _OTHER_SAMPLERS)
    raise UnknownSchedulerError(f"Unknown scheduler {name!r}", hint=_suggestion(name, key))


def _spacing(word: str) -> str:
    """The spacing that a word means, or the nearest that is built; "" of a word that is none."""
    return _SPACING_WORDS.get(word) or _OTHER_SPACINGS.get(word, "")


def _suggestion(name: str, key: str) -> str:
    """What may have been meant; a spacing isn't to be lost."""
    if spacing := _spacing(key):
        return f"That is a spacing. It follows a sampler's name: --scheduler dpm++2m-{spacing}"
    spelled = name.lower().replace(" ", "-").replace("dpmpp", "dpm++").replace("_", "-")
    near = difflib.get_close_matches(spelled, list(all_names()), n=1, cutoff=0.8)
    if near and near[0] not in SAMPLERS:
        return f"Did you mean {near[0]}?"
    for sampler, word in _readings(key):
        if word and (spacing := _spacing(word)):
            samplers = {_key(own): own for own in SAMPLERS}
            close = difflib.get_close_matches(sampler, samplers, n=1, cutoff=0.5)
            own = samplers[close[0]] if close else "dpm++2m"
            return f"Did you mean {own if spacing not in spacings_of(own) else f'{own}-{spacing}'}?"
    return did_you_mean(name, SAMPLERS)


def _readings(key: str) -> Iterator[tuple[str, str]]:
    """Every way to read a key as a sampler and a spacing, the longest sampler first.

    Also with the spacing elsewhere than at the end ("DPM++ 2M Karras SDE"), and with one that is said twice, as where a
    file has it both in the sampler's name and as the schedule's type.
    """
    yield key, ""
    words = sorted((*_SPACING_WORDS, *_OTHER_SPACINGS, "automatic"), key=len)
    for word in words:
        if key.endswith(word):
            yield key.removesuffix(word), word
    for word in words:
        for also in (word, "automatic"):
            if key.endswith(f"{word}{also}"):
                yield key.removesuffix(f"{word}{also}"), word
        if len(word) > _SHORT and word in key and not key.endswith(word):
            yield key.replace(word, "", 1), word


def _with_spacing(name: str, sampler: str, spacing: str) -> str:
    if not spacing or (sampler == "lcm" and spacing in _OF_TIMES):
        return sampler
    if spacing not in spacings_of(sampler):
        _refuse(name, sampler, spacing)
    return f"{sampler}-{spacing}"


def _refuse(name: str, sampler: str, spacing: str, is_other: bool = False) -> None:
    """Refuses what isn't built, with the nearest that is: of the spacing first.

    Args:
        name: as it was given.
        sampler: the one that was meant, or the nearest.
        spacing: the same of the spacing; "" where none was given.
        is_other: whether another sampler was meant.
    """
    nearest = sampler
    if spacing == "lu" and "karras" in spacings_of(sampler):
        spacing = "karras"
    if spacing and spacing not in spacings_of(sampler):
        nearest = _WITH_LEVELS.get(sampler, sampler)
    if spacing in spacings_of(nearest):
        nearest = f"{nearest}-{spacing}"
    differs = "sampler" if is_other or split_name(nearest)[0] != sampler else "spacing"
    why = f"There are {', '.join(SAMPLERS)}; most of them with -karras, -exponential or -sgm-uniform after the name."
    if sampler == "lcm" and spacing:
        why = "lcm was distilled for its times: it has no spacing by noise levels."
    raise UnknownSchedulerError(
        f"The scheduler {name!r} isn't built",
        why=f"{why} The nearest has another {differs}: its image will differ.",
        hint=f"The nearest that is built: --scheduler {nearest}",
    )
