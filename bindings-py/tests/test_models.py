"""The models are held to the engine: each field and each word of its views, and no other."""

import copy
import dataclasses
import enum
import json
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import careen
from careen import _careen, models
from careen._model import Model

SAMPLES: dict[str, dict[str, Any]] = json.loads(_careen.samples())


@pytest.mark.parametrize("name", SAMPLES["models"])
def test_a_model_has_the_fields_of_its_view(name: str) -> None:
    cls: type[Model] = getattr(models, name)
    view = SAMPLES["models"][name]
    model = cls.from_dict(view)
    assert model.to_dict() == view


@pytest.mark.parametrize("name", SAMPLES["words"])
def test_an_enum_has_the_words_of_the_vocabulary(name: str) -> None:
    cls: type[enum.Enum] = getattr(models, name)
    assert [word.value for word in cls] == SAMPLES["words"][name]


def test_no_enum_is_without_a_vocabulary() -> None:
    public = (getattr(models, name) for name in models.__all__)
    enums = {cls.__name__ for cls in public if isinstance(cls, type) and issubclass(cls, enum.Enum)}
    assert enums == set(SAMPLES["words"])


@pytest.mark.parametrize("name", SAMPLES["models"])
def test_models_compare_hash_pickle_and_print(name: str) -> None:
    cls: type[Model] = getattr(models, name)
    one, other = (cls.from_dict(SAMPLES["models"][name]) for _ in range(2))
    assert one == other and hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one == copy.deepcopy(one)
    assert repr(one).startswith(f"{name}(")
    field = dataclasses.fields(cls)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, field, None)


def test_times_and_durations_are_pythons() -> None:
    node = models.Node.from_dict(SAMPLES["models"]["Node"])
    assert node.created_at == datetime(2026, 9, 21, 14, 13, 20, 250_000, tzinfo=timezone.utc)
    options = models.DrainOptions.from_dict(SAMPLES["models"]["DrainOptions"])
    assert (options.timeout, options.delete_after) == (timedelta(minutes=90), timedelta(seconds=1.5))


def test_a_duration_that_is_longer_than_pythons_is_read_as_the_longest() -> None:
    for text in ("9999999999h", "9" * 31 + "h", "876000000h59m"):
        options = models.DrainOptions.from_dict({"timeout": text})
        assert options.timeout == timedelta(days=100_000)
        assert models.DrainOptions.from_dict(options.to_dict()) == options
    with pytest.raises(careen.InvalidArgumentError):
        models.DrainOptions(timeout=timedelta.max)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(careen.InvalidArgumentError, match="name is missing"):
        models.Node.from_dict({})
    node = SAMPLES["models"]["Node"]
    for key, message in {"ready": "ready is missing", "createdAt": None}.items():
        less = {name: value for name, value in node.items() if name != key}
        for data in (less, node | {key: None}):
            if message is None:
                assert models.Node.from_dict(data).created_at is None
            else:
                with pytest.raises(careen.InvalidArgumentError, match=message):
                    models.Node.from_dict(data)


def test_models_match_patterns() -> None:
    match models.Plan.from_dict(SAMPLES["models"]["Plan"]).workloads[0]:
        case models.PlanEntry(verdict=models.VerdictKind.SHUT_DOWN, restarts=False, will_not_restart_because=why):
            assert why == "text"
        case _:
            pytest.fail("the pattern does not match")
