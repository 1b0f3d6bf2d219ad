"""Configs as data: places, names, options of layers, and where a map becomes a vector."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weightsurgeon.errors import BrokenFile, LimitExceeded
from weightsurgeon.formats.base import Limits
from weightsurgeon.formats.keras_config import Layer, layers_of, parse
from weightsurgeon.formats.keras_names import cell_of, guessed, kind_of, snake, variables

LIMITS = Limits()
Json = dict[str, Any]


def layer(kind: str, name: str = "", **config: Any) -> Json:
    return {"class_name": kind, "config": {"name": name or kind.lower(), **config}}


def sequential(*layers: Json, size: list[int] | None = None) -> Json:
    first = [layer("InputLayer", batch_shape=[None, *size])] if size else []
    return layer("Sequential", "model", layers=[*first, *layers])


def called(item: Json, *sources: str) -> Json:
    """A layer of a functional model, called on the first outputs of these."""
    history = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [s, 0, 0]}} for s in sources
    ]
    nodes = [{"args": history, "kwargs": {}}] if sources else []
    return {**item, "name": item["config"]["name"], "inbound_nodes": nodes}


def functional(*layers: Json, output: str) -> Json:
    ends = {"input_layers": [["in", 0, 0]], "output_layers": [[output, 0, 0]]}
    first = called(layer("InputLayer", "in", batch_shape=[None, 4, 5, 3]))
    return layer("Functional", "model", layers=[first, *layers], **ends)


def found(config: Json) -> dict[str, Layer]:
    return {x.name: x for x in layers_of(config, "x", LIMITS).values()}


CONV = layer("Conv2D", "conv", filters=7, kernel_size=[3, 3], strides=[1, 1], padding="same")
DENSE = layer("Dense", "fc", units=2, use_bias=True)
FLATTEN = layer("Flatten")


def test_places_count_classes_and_names_join() -> None:
    inner = layer("Sequential", "inner", layers=[layer("Dense", "a"), layer("Dense", "b")])
    config = sequential(layer("Dense", "x"), inner, layer("Dense", "y"), size=[3])
    places = {place: x.name for place, x in layers_of(config, "x", LIMITS).items()}
    assert list(places.items()) == [
        ("", ""),
        ("layers/dense", "x"),
        ("layers/sequential", "inner"),
        ("layers/sequential/layers/dense", "inner/a"),
        ("layers/sequential/layers/dense_1", "inner/b"),
        ("layers/dense_1", "y"),
    ]


def test_wrappers_and_cells_have_their_places() -> None:
    lstm = layer("LSTM", "forward_lstm", units=2)
    config = sequential(
        layer("Bidirectional", "bi", layer=lstm, backward_layer=layer("LSTM", "backward_lstm")),
        layer("TimeDistributed", "td", layer=layer("Dense", "d")),
        layer("GroupQueryAttention", "gqa", num_query_heads=4, num_key_value_heads=2),
    )
    places = layers_of(config, "x", LIMITS)
    assert places["layers/bidirectional/backward_layer/cell"].name == "bi/backward_lstm/lstm_cell"
    assert places["layers/time_distributed/layer"].name == "td/d"
    key = places["layers/grouped_query_attention/_key_dense"]
    assert (key.name, key.kind, key.options["heads"]) == ("gqa/key", "EinsumDense", 2)


def test_options_keep_keras_names() -> None:
    relu = {"module": "builtins", "class_name": "function", "config": "my_relu"}
    gru = layer("GRU", "g", reset_after=False, use_bias=True, activation=relu, implementation=2)
    (cell,) = [x for x in found(sequential(gru)).values() if x.kind == "GRUCell"]
    told = {"reset_after": False, "use_bias": True, "activation": "my_relu"}
    assert cell.options == {**told, "module": "g"}


def test_a_part_of_a_layer_knows_which() -> None:
    def cells(*names: str) -> Json:
        return layer("RNN", "r", cell=layer("StackedRNNCells", "s", cells=[
            layer("LSTMCell", n) for n in names]))  # fmt: skip

    two = layer("Bidirectional", "b", merge_mode="sum", layer=cells("i", "j"),
        backward_layer=layer("GRU", "g", go_backwards=True))  # fmt: skip
    attention = layer("GroupQueryAttention", "a", num_query_heads=4, num_key_value_heads=2)
    parts = {
        at.name: {k: v for k, v in at.options.items() if k != "axis"}
        for at in found(sequential(two, attention)).values()
        if "module" in at.options
    }
    both = {"merge_mode": "sum", "module": "b"}
    assert parts["b/r/s/i"] == {**both, "direction": "forward", "level": 0}
    assert parts["b/r/s/j"] == {**both, "direction": "forward", "level": 1}
    assert parts["b/g/gru_cell"] == {**both, "direction": "backward", "go_backwards": True}
    heads = {n: (parts[f"a/{n}"]["part"], parts[f"a/{n}"]["heads"]) for n in ("query", "key")}
    assert heads == {"query": ("query", 4), "key": ("key", 2)}


def flat(config: Json, name: str = "fc") -> tuple[list[int] | None, str]:
    at = found(config)[name]
    return at.options.get("flatten_from"), at.unsure


def test_a_dense_behind_a_flatten_knows_its_map() -> None:
    config = sequential(CONV, layer("Dropout"), FLATTEN, layer("Activation"), DENSE, size=[4, 5, 3])
    assert flat(config) == ([4, 5, 7], "")


@pytest.mark.parametrize("norm", ["GroupNormalization", "Normalization"])
def test_a_norm_keeps_a_map_and_what_was_flattened(norm: str) -> None:
    config = sequential(CONV, layer(norm), FLATTEN, DENSE, size=[4, 5, 3])
    assert flat(config) == ([4, 5, 7], "")
    assert flat(sequential(CONV, FLATTEN, layer(norm), DENSE, size=[4, 5, 3])) == ([4, 5, 7], "")


def test_an_attention_behind_a_flatten_leaves_doubt() -> None:
    config = sequential(CONV, FLATTEN, layer("Attention"), DENSE, size=[4, 5, 3])
    assert flat(config) == (None, "a Attention stands between it and the Flatten")


@pytest.mark.parametrize(
    ("between", "shape"),
    [
        (layer("MaxPooling2D", pool_size=[2, 2], strides=[2, 2], padding="valid"), [2, 2, 7]),
        (layer("MaxPooling2D", pool_size=[2, 2], strides=[2, 2], padding="same"), [2, 3, 7]),
        (layer("ZeroPadding2D", padding=[[1, 0], [0, 2]]), [5, 7, 7]),
        (layer("Cropping2D", cropping=[[1, 1], [0, 1]]), [2, 4, 7]),
        (layer("Permute", dims=[2, 1, 3]), [5, 4, 7]),
        (layer("Reshape", target_shape=[10, 2, -1]), [10, 2, 7]),
        (layer("DepthwiseConv2D", kernel_size=2, padding="valid", depth_multiplier=2), [3, 4, 14]),
    ],
)
def test_shapes_are_followed_where_the_config_does_not_say(between: Json, shape: list[int]) -> None:
    assert flat(sequential(CONV, between, FLATTEN, DENSE, size=[4, 5, 3])) == (shape, "")


def test_what_the_config_says_comes_first() -> None:
    told = {**FLATTEN, "build_config": {"input_shape": [None, 2, 3, 4]}}
    assert flat(sequential(layer("Mystery"), told, DENSE)) == ([2, 3, 4], "")


def test_channels_first_is_given_channels_last() -> None:
    told = layer("Flatten", data_format="channels_first") | {
        "build_config": {"input_shape": [None, 7, 4, 5]}
    }
    assert flat(sequential(told, DENSE)) == ([4, 5, 7], "")


def test_only_the_first_dense_sees_the_map_but_all_normalisations_before_it() -> None:
    norm, second = layer("BatchNormalization", "bn"), layer("Dense", "second", units=3)
    config = sequential(CONV, FLATTEN, norm, DENSE, second, size=[4, 5, 3])
    assert flat(config, "bn") == flat(config, "fc") == ([4, 5, 7], "")
    assert flat(config, "second") == (None, "")


def test_a_map_is_seen_through_models() -> None:
    inner = layer("Sequential", "inner", layers=[layer("Dropout"), DENSE])
    config = sequential(CONV, layer("Sequential", "head", layers=[FLATTEN]), inner, size=[4, 5, 3])
    assert flat(config, "inner/fc") == ([4, 5, 7], "")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ([layer("Mystery"), FLATTEN, DENSE], "does not say of which shape"),
        ([CONV, FLATTEN, layer("Mystery"), DENSE], "Mystery stands between"),
        ([CONV, layer("Reshape", target_shape=[-1]), DENSE], "Reshape makes a vector"),
    ],
)
def test_doubt_is_said_and_not_guessed(body: list[Json], why: str) -> None:
    shape, unsure = flat(sequential(*body, size=[4, 5, 3]))
    assert shape is None
    assert why in unsure


@pytest.mark.parametrize(
    "body",
    [
        [
            layer("Embedding", "e"),
            {**FLATTEN, "build_config": {"input_shape": [None, 4, 5]}},
            DENSE,
        ],
        [layer("LSTM", "l"), DENSE],
        [CONV, layer("GlobalAveragePooling2D"), DENSE],
        [layer("Reshape", target_shape=[9]), DENSE],
    ],
)
def test_what_lies_alike_everywhere_is_plain(body: list[Json]) -> None:
    assert flat(sequential(*body, size=[1, 1, 9])) == (None, "")


def test_an_lstm_on_a_flattened_map_is_in_doubt_with_its_cell() -> None:
    flat_inside = layer("TimeDistributed", "td", layer={
        **FLATTEN, "build_config": {"input_shape": [None, 4, 5, 3]}
    })  # fmt: skip
    config = sequential(flat_inside, layer("LSTM", "l"), size=[2, 4, 5, 3])
    assert "LSTM on a flattened map" in found(config)["l/lstm_cell"].unsure


def graph(*tail: Json, output: str) -> Json:
    body = [called(CONV, "in"), called(FLATTEN, "conv"), called(DENSE, "flatten")]
    return functional(*reversed(body), *tail, output=output)  # order of the list does not matter


def test_a_graph_is_followed_by_its_calls() -> None:
    other = called(layer("Dense", "other"), "fc")
    config = graph(other, output="other")
    assert flat(config) == ([4, 5, 7], "")
    assert flat(config, "other") == (None, "")


@pytest.mark.parametrize(("kind", "sources"), [("Add", "fc"), ("Concatenate", "flatten")])
def test_branches_that_meet_are_in_doubt(kind: str, sources: str) -> None:
    meet = called(layer(kind, "meet"), "flatten", sources)
    shape, unsure = flat(graph(meet, called(layer("Dense", "end"), "meet"), output="end"), "end")
    assert shape is None
    assert "flattened" in unsure


def test_a_layer_shared_by_different_inputs_is_in_doubt() -> None:
    shared = called(layer("Dense", "shared"), "flatten")
    shared["inbound_nodes"] += called(layer("x"), "fc")["inbound_nodes"]
    assert "shared" in flat(graph(shared, output="shared"), "shared")[1]


def test_the_calls_of_keras_2_are_understood() -> None:
    body = [called(CONV, "in"), called(FLATTEN, "conv"), called(DENSE, "flatten")]
    for item, source in zip(body, ("in", "conv", "flatten"), strict=True):
        item["inbound_nodes"] = [[[source, 0, 0, {}]]]
    assert flat(functional(*body, output="fc")) == ([4, 5, 7], "")


@pytest.mark.parametrize(
    ("kind", "options", "names"),
    [
        ("Dense", {"use_bias": False}, "kernel"),
        ("BatchNormalization", {"center": True}, "beta moving_mean moving_variance"),
        ("LayerNormalization", {"scale": True, "center": True}, "gamma beta"),
        ("EinsumDense", {"equation": "ab,bc->ac"}, "kernel"),
        ("Dense", {"use_bias": True, "quantized": ["kernel_scale"]}, "kernel bias kernel_scale"),
    ],
)
def test_absent_variables_shift_the_others(kind: str, options: Json, names: str) -> None:
    wanted = names.split()
    assert variables(kind, options, len(wanted)) == wanted
    assert variables(kind, options, len(wanted) + 1) is None


@pytest.mark.parametrize(
    ("kind", "count"),
    [("BatchNormalization", 3), ("LayerNormalization", 1), ("Attention", 1), ("MyLayer", 2)],
)
def test_what_the_count_cannot_tell_is_not_guessed(kind: str, count: int) -> None:
    assert guessed(kind, count) is None


def test_segments_lead_back_to_classes() -> None:
    for kind in ("Conv1DTranspose", "PReLU", "RMSNormalization", "SeparableConv2D", "LSTMCell"):
        assert kind_of(snake(kind)) == kind_of(f"{snake(kind)}_12") == kind
    assert cell_of("lstm_cell", [(3, 8), (2, 8)]) == "LSTMCell"
    assert cell_of("lstm_cell", [(3, 6), (2, 6)]) == ""


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', "[1]", '{"class_name": "X"}', "{", "NaN"])
def test_unsound_configs_are_broken(text: str) -> None:
    with pytest.raises(BrokenFile, match=r"config\.json"):
        parse(text.encode(), "x.keras", "config.json", LIMITS)


def test_depth_is_bounded() -> None:
    config = DENSE
    for _ in range(LIMITS.depth + 2):
        config = sequential(config)
    with pytest.raises(LimitExceeded, match="nested"):
        layers_of(config, "x", LIMITS)
    with pytest.raises(LimitExceeded, match="nested"):
        parse(b'{"a":' * 100_000, "x", "config.json", LIMITS)


def test_other_values_where_layers_are_expected_are_left_alone() -> None:
    odd = layer("Sequential", "m", layers=[3, None, {"class_name": 3}, DENSE], cells=5)
    assert list(layers_of(odd, "x", LIMITS)) == ["", "layers/dense"]
    text = json.dumps(functional(called(DENSE, "fc"), output="fc"))  # a layer called on itself
    assert "fc" in found(dict(parse(text.encode(), "x", "config.json", LIMITS)))
