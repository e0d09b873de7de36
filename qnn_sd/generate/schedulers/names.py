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


# Others: diffusers' classes, k-diffusion, AUTOMATIC1111's, ComfyUI's and InvokeAI's menus.
SAMPLERS: Mapping[str, Sampler] = {
    "dpm++2m": Sampler(
        DpmPlusPlus, others=("dpmpp2m", "dpmsolverpp", "dpmsolverpp2m", "dpmsolvermultistep", "dpmplusplus2m")
    ),
    "dpm++2m-sde": Sampler(DpmPlusPlus, _sde(), ("dpmpp2msde", "dpmpp2msdegpu", "sdedpmsolverpp")),
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
    **{"alignyoursteps": "karras", "ays": "karras", "turbo": "sgm-uniform"},
}
# Samplers that others have, each with the nearest that is built.
_OTHER_SAMPLERS: Mapping[str, str] = {
    **dict.fromkeys(("dpmpp2s", "dpmpp2sa", "dpmpp2sancestral", "dpmsolversinglestep", "dpmsolversde"), "dpm++2m-sde"),
    **dict.fromkeys(("dpmppsde", "dpmppsdegpu", "dpmpp2ssde", "ersde", "cosinedpmsolvermultistep"), "dpm++2m-sde"),
    **dict.fromkeys(("dpm2", "dpm2discrete", "kdpm2discrete", "dpm2s", "seeds2", "seeds3", "heunpp2"), "heun"),
    **dict.fromkeys(("dpm2a", "dpm2ancestral", "kdpm2ancestraldiscrete", "ddpm"), "euler-a"),
    **dict.fromkeys(
        ("lms", "lmsdiscrete", "dpmfast", "dpmadaptive", "dpmsolver", "restart", "gradientestimation"), "dpm++2m"
    ),
    **dict.fromkeys(("ipndm", "ipndmv", "pndmprk"), "pndm"),
    **dict.fromkeys(("tcd", "lcmtcd"), "lcm"),
    **dict.fromkeys(
        ("euleredm", "edmeuler", "eulercfgpp", "flowmatcheulerdiscrete", "flowmatch", "resmultistep"), "euler"
    ),
    **dict.fromkeys(("eulerancestralcfgpp", "eulerancestralrf"), "euler-a"),
    **dict.fromkeys(("edmdpmsolvermultistep", "dpmpp2mcfgpp", "sasolver"), "dpm++2m"),
    **dict.fromkeys(("ddimcfgpp", "ddiminverse", "ddimparallel"), "ddim"),
}


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
                _refuse(name, own, _SPACING_WORDS.get(spacing) or _OTHER_SPACINGS.get(spacing, ""))
    # A spacing that is misspelt isn't to be lost: the nearest of all names, where one of them is near.
    spelled = name.lower().replace(" ", "-").replace("dpmpp", "dpm++").replace("_", "-")
    near = difflib.get_close_matches(spelled, list(all_names()), n=1, cutoff=0.8)
    hint = f"Did you mean {near[0]}?" if near and near[0] not in SAMPLERS else did_you_mean(name, SAMPLERS)
    raise UnknownSchedulerError(f"Unknown scheduler {name!r}", hint=hint)


def _readings(key: str) -> Iterator[tuple[str, str]]:
    """Every way to read a key as a sampler and a spacing, the longest sampler first."""
    yield key, ""
    for word in sorted((*_SPACING_WORDS, *_OTHER_SPACINGS, "automatic"), key=len):
        if key.endswith(word):
            yield key.removesuffix(word), word


def _with_spacing(name: str, sampler: str, spacing: str) -> str:
    if not spacing or (sampler == "lcm" and spacing in _OF_TIMES):
        return sampler
    if spacing not in spacings_of(sampler):
        nearest = {"ddim": "euler", "lcm": "lcm"}.get(sampler, "dpm++2m")
        _refuse(name, sampler if spacing == "lu" else nearest, "karras" if spacing == "lu" else spacing)
    return f"{sampler}-{spacing}"


def _refuse(name: str, sampler: str, spacing: str) -> None:
    nearest = f"{sampler}-{spacing}" if spacing in spacings_of(sampler) else sampler
    raise UnknownSchedulerError(
        f"The scheduler {name!r} isn't built",
        why=f"There are {', '.join(SAMPLERS)}; most of them with -karras, -exponential or -sgm-uniform after the name.",
        hint=f"The nearest that is built: --scheduler {nearest}",
    )
