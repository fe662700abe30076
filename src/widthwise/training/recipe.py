"""What one training run is told: data, network, training and elastic settings, typed, checked and frozen.

A recipe is a TOML file, or the name of one that comes with the package; `name = value` pairs override it, typed by the
same model.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from widthwise._shared import RecipeError, WidthError
from widthwise.elastic import Distillation, Law, make_law
from widthwise.elastic.compilation import MAX_GRAPHS
from widthwise.elastic.laws.distillation import Divergence
from widthwise.elastic.laws.law import Distribution, Reach, Rescale, Sharing
from widthwise.training.overrides import apply_overrides, near_names
from widthwise.training.precision import PrecisionName
from widthwise.training.toml import format_toml

__all__ = [
    "DataSection",
    "ElasticSection",
    "ExpectedSection",
    "ModelSection",
    "Recipe",
    "Setting",
    "TrainingSection",
    "list_recipes",
    "load_recipe",
    "parse_recipe",
]

Setting = bool | int | float | str | list[int] | list[float] | list[str]
Method = Literal["structural", "plain"]
Schedule = Literal["one_cycle", "cosine", "constant"]

_SMOKE_SAMPLES = 256


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataSection(_Section):
    """Which data set, the shape of one input, and how many samples of each split (`limit`; None for all).

    Samples of a text are windows of it; `input_shape` is then the number of their tokens, alone in its list.
    """

    name: str
    input_shape: list[Annotated[int, Field(ge=1)]]
    limit: Annotated[int, Field(ge=2)] | None = None


class ModelSection(_Section):
    """Which network of the zoo, with its settings, such as the sizes of an MLP.

    `width` below 1 takes the network of that fraction of its width groups, its first weights drawn for its own size:
    what method "plain" then trains is the network that an elastic one is compared with.
    """

    name: str
    settings: dict[str, Setting] = Field(default_factory=dict)
    width: Annotated[float, Field(gt=0, le=1)] = 1.0


class TrainingSection(_Section):
    """How the weights are fitted.

    A step of the optimiser follows the mean gradient of `accumulate` batches, fewer at the end of an epoch.
    `learning_rate` is the highest one of the schedule, reached after the share `warmup` of the steps (None: 0.3 of them
    in one cycle, else at once). `momentum` is for sgd, 0.9 where None. `grad_clip` is the largest norm of the gradient,
    unlimited where None. A training stops that got no better in `patience` epochs, by the mean of the validation scores
    at full and at narrowest width, and the best epoch's weights are kept. `precision` is that in which the loss is
    computed (weights and scores are float32), `device` where; `channels_last` is the layout of
    convolutions that is the faster one on most processors. A unit that takes part in a share of the samples has
    share^-rate_by_use times the learning rate, and with `decay_by_use` share times the weight decay (of adamw). Method
    "structural" draws widths, "plain" trains the bare network at full width. `compile` gives every width of the law a
    compiled graph. `tensorboard` writes the metrics of each epoch for TensorBoard too; weights are the same.
    """

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)] = 128
    accumulate: Annotated[int, Field(ge=1)] = 1
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    schedule: Schedule = "one_cycle"
    warmup: Annotated[float, Field(gt=0, lt=1)] | None = None
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    grad_clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    precision: PrecisionName = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    channels_last: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
    rate_by_use: Annotated[float, Field(ge=0, le=1)] = 0.0
    decay_by_use: bool = False
    method: Method = "structural"
    compile: bool = False
    tensorboard: bool = False

    @model_validator(mode="after")
    def _check_precision(self) -> "TrainingSection":
        if self.precision == "float16" and self.device == "cpu":
            raise ValueError("precision = 'float16' needs a GPU: expected device = 'cuda', got 'cpu'; use 'bfloat16'")
        return self

    @model_validator(mode="after")
    def _check_compile(self) -> "TrainingSection":
        if self.compile and self.method == "plain":
            raise ValueError("compile has an effect with method = 'structural' only; remove one of the two")
        return self

    @model_validator(mode="after")
    def _check_momentum(self) -> "TrainingSection":
        if self.momentum is not None and self.optimizer != "sgd":
            raise ValueError("momentum has an effect with optimizer = 'sgd' only; remove one of the two")
        return self

    @model_validator(mode="after")
    def _check_use(self) -> "TrainingSection":
        if self.decay_by_use and (self.optimizer != "adamw" or not self.weight_decay):
            raise ValueError(
                "decay_by_use has an effect on the weight_decay of optimizer = 'adamw' only; set both, or remove it"
            )
        if (self.rate_by_use or self.decay_by_use) and self.method == "plain":
            raise ValueError(
                "rate_by_use and decay_by_use have an effect with method = 'structural' only; remove one of the two"
            )
        return self


class ElasticSection(_Section):
    """The law from which widths are drawn: a named one, and what shall differ from it (None: nothing).

    `distillation` turns in-place distillation on or off, with `temperature` and `divergence`; its value is the share of
    the soft targets. 0 takes that of a named law away. `causal` makes the network one of causal channels first, and
    with `round_to` a fraction leaves a multiple of so many units.
    """

    law: str = "default"
    distribution: Distribution | None = None
    sharing: Sharing | None = None
    lowest: float | None = None
    p: float | None = None
    step: int | None = None
    rescale: Rescale | None = None
    chunks: int | Literal["each"] | None = None
    widths: int | list[float] | None = None
    between: float | None = None
    sandwich: int | None = None
    weight: float | None = None
    slow_start: int | None = None
    reach: Reach | None = None
    distillation: Annotated[float, Field(ge=0, le=1)] | None = None
    temperature: float | None = None
    divergence: Divergence | None = None
    unit_affine: bool | None = None
    octave_weights: bool | None = None
    causal: bool = False
    round_to: Annotated[int, Field(ge=1)] = 1

    def make_law(self) -> Law:
        """Return the law; raises WidthError where the named one is unknown or the numbers make none."""
        others = {"law", "distillation", "temperature", "divergence", "causal", "round_to"}
        given = self.model_dump(exclude_none=True, exclude=others)
        soft = {"weight": self.distillation, "temperature": self.temperature, "divergence": self.divergence}
        soft = {name: value for name, value in soft.items() if value is not None}
        if self.distillation == 0:
            given["distillation"] = None
        elif soft:
            given["distillation"] = replace(make_law(self.law).distillation or Distillation(), **soft)  # pyright: ignore[reportArgumentType]
        return make_law(self.law, **given)

    def check_compiled(self) -> None:
        """Raise WidthError where not every width that the law draws could be compiled.

        Which widths have graphs would then depend on which came first, and a resumed training end in other weights.
        """
        law = self.make_law()
        if not law.levels or law.between or law.sharing != "shared" or len(law.levels) > MAX_GRAPHS:
            raise WidthError(
                f"training.compile needs a law of at most {MAX_GRAPHS} widths, common to all groups, got one of more; "
                "set elastic.widths=6, and elastic.between=0 where it leaves them"
            )


class ExpectedSection(_Section):
    """What the run gave when it was measured: minutes of training on two cores, and the result in words."""

    minutes: Annotated[float, Field(gt=0)]
    result: str


class Recipe(_Section):
    """One training run, as told: equal recipes on equal versions and threads end in bit-equal weights."""

    name: str
    data: DataSection
    model: ModelSection
    training: TrainingSection
    elastic: ElasticSection = ElasticSection()
    expected: ExpectedSection | None = None

    def to_toml(self) -> str:
        """Return the recipe as a TOML file that `parse_recipe` reads back to an equal recipe."""
        return format_toml(self.model_dump(exclude_none=True))

    def smoke(self) -> "Recipe":
        """Return the recipe for a test of the pipes: one epoch on a few hundred samples, nothing expected of it."""
        limit = min(_SMOKE_SAMPLES, self.data.limit or _SMOKE_SAMPLES)
        return self.model_copy(
            update={
                "data": self.data.model_copy(update={"limit": limit}),
                "training": self.training.model_copy(update={"epochs": 1}),
                "expected": None,
            }
        )

    def is_same_work(self, other: "Recipe") -> bool:
        """Return whether both recipes train the same weights."""
        return self.work() == other.work()

    def work(self) -> dict[str, dict[str, object]]:
        """Return the sections without what the weights do not depend on: name, expected result, who watches."""
        return self.model_dump(exclude={"name": True, "expected": True, "training": {"tensorboard"}})


def list_recipes() -> list[str]:
    """Return the names of the recipes that come with the package, sorted."""
    folder = resources.files("widthwise.training").joinpath("recipes")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return a recipe by name or from a TOML file, with `key=value` overrides applied.

    Args:
        name_or_path: A name of `list_recipes`, or a path ending in `.toml`.
        overrides: Such as "training.epochs=3", or "epochs=3" where only one section has that key. A value is read as
            TOML, and as text where it is none.

    Raises:
        RecipeError: Where there is no such recipe, it cannot be read, or it holds an unknown key or a value out of
            range.

    Example:
        >>> load_recipe("digits-mlp", ["epochs=3"]).training.epochs
        3
    """
    text = str(name_or_path)
    if text.endswith(".toml"):
        return parse_recipe(_read_file(Path(text)), what=text, overrides=overrides)
    known = list_recipes()
    if text not in known:
        advice = near_names(text, known) or "; `widthwise recipes` tells of each"
        raise RecipeError(f"expected one of the recipes {', '.join(known)}, or a .toml file, got '{text}'{advice}")
    packaged = resources.files("widthwise.training").joinpath("recipes", f"{text}.toml")
    return parse_recipe(packaged.read_text(encoding="utf-8"), what=f"recipe {text}", overrides=overrides)


def parse_recipe(text: str, *, what: str = "recipe", overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe written in `text` (TOML), with overrides applied; `what` names it in errors.

    Raises:
        RecipeError: As `load_recipe`.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        raise RecipeError(f"{what}: expected TOML, got a syntax error: {cause}; mend that line") from cause
    content = apply_overrides(content, overrides, keys=_known_keys(content))
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as cause:
        raise RecipeError(f"{what}: {_explain(cause)}") from cause
    try:
        recipe.elastic.make_law()
        if recipe.training.compile:
            recipe.elastic.check_compiled()
    except ValueError as cause:
        raise RecipeError(f"{what}: [elastic] {cause}") from cause
    return recipe


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as cause:
        raise RecipeError(
            f"expected a recipe file {path}, got none; `widthwise recipes` lists the built-in ones"
        ) from cause
    except (OSError, UnicodeDecodeError) as cause:
        raise RecipeError(
            f"expected a readable recipe file {path}, got: {cause}; check its kind and permissions"
        ) from cause


_SECTIONS: dict[str, type[_Section]] = {
    "data": DataSection,
    "model": ModelSection,
    "training": TrainingSection,
    "elastic": ElasticSection,
    "expected": ExpectedSection,
}


def _known_keys(content: dict[str, object]) -> list[str]:
    """Return every dotted key that an override may name; settings of a network are those that the recipe has."""
    keys = ["name"]
    for name, section in _SECTIONS.items():
        keys += [f"{name}.{key}" for key in section.model_fields if key != "settings"]
    model = content.get("model")
    settings = model.get("settings") if isinstance(model, dict) else None
    return keys + [f"model.settings.{key}" for key in settings] if isinstance(settings, dict) else keys


def _explain(cause: ValidationError) -> str:
    """Return the first thing wrong in one line, an unknown key with the near ones."""
    error = cause.errors(include_url=False)[0]
    place = [str(part) for part in error["loc"]]
    key = ".".join(place)
    if error["type"] == "extra_forbidden":
        section = Recipe if len(place) == 1 else _SECTIONS[place[0]]
        known = list(section.model_fields)
        where = f"in [{place[0]}]" if len(place) > 1 else "at the top"
        return f"expected one of the keys {', '.join(known)} {where}, got '{place[-1]}'{near_names(place[-1], known)}"
    if error["type"] == "missing":
        return f"expected a value for {key}, got none; add it"
    if error["type"] == "value_error":
        return f"[{key}] {error['msg'].removeprefix('Value error, ')}"
    if error["type"] == "model_type":
        return f"expected [{key}] to be a table, got {error['input']!r}; write keys below a line [{key}]"
    return f"expected {key} to be {error['msg'].removeprefix('Input should be ')}, got {error['input']!r}"
