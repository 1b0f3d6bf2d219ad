"""Live torch modules: names, roles, exact bits, and the same Parameters after a port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weightsurgeon as ws
from weightsurgeon.errors import FormatError, OutputError, PlanError
from weightsurgeon.formats.live import is_live
from weightsurgeon.spec import DTYPES

torch = pytest.importorskip("torch")
nn: Any = torch.nn
DTYPES_OF_TORCH = sorted(n for n in DTYPES if hasattr(torch, n))


def chain(**modules: Any) -> Any:
    from collections import OrderedDict

    return nn.Sequential(OrderedDict(modules))


def tied() -> Any:
    module = chain(tok=nn.Embedding(5, 3), head=nn.Linear(3, 5, bias=False))
    module.head.weight = module.tok.weight
    return module


def snapshot(module: Any) -> dict[str, Any]:
    return {n: x.detach().clone() for n, x in module.state_dict().items()}


# -- reading ---------------------------------------------------------------------------------


def test_names_are_those_of_the_state_dict() -> None:
    module = chain(a=nn.BatchNorm2d(3), b=nn.Linear(2, 2))
    module.register_buffer("seen", torch.zeros(2))
    module.register_buffer("unsaved", torch.zeros(2), persistent=False)
    assert list(ws.open(module)) == list(module.state_dict())
    assert is_live(module)


def test_roles_kinds_and_options_are_exact() -> None:
    module = chain(c=nn.Conv2d(4, 6, 3, stride=2, groups=2), n=nn.LayerNorm(6, eps=0.25))
    found = ws.open(module)
    c, n = found.meaning("c.weight"), found.meaning("n.weight")
    assert (c.kind, c.role, str(c.axes), c.ground) == ("conv", "kernel", "out in kh kw", "file")
    assert (c.options["groups"], c.options["strides"]) == (2, [2, 2])
    assert (n.kind, n.role, n.options["epsilon"]) == ("layernorm", "gamma", 0.25)


def test_a_subclass_is_what_it_stems_from_and_an_own_class_is_nothing() -> None:
    class Mine(nn.Linear):  # type: ignore[misc]
        pass

    class Linear(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2, 2))

    found = ws.open(chain(a=Mine(2, 3), b=Linear()))
    assert found.meaning("a.weight").kind == "linear"
    assert found.meaning("b.weight").kind is None


def test_a_convolution_by_channel_leaves_its_kind_to_the_other_side() -> None:
    module = chain(d=nn.Conv2d(2, 4, 3, groups=2))
    found = ws.open(module)
    assert found.meaning("d.weight").kind is None
    assert [found.meaning(n).role for n in found] == ["kernel", "bias"]  # of either kind
    ws.prune(module, sparsity=0.5, select={"role": "kernel"})
    assert int((module.d.weight == 0).sum()) == 18
    assert not (module.d.bias == 0).any()


def test_the_projections_of_an_attention_are_kernels() -> None:
    module = chain(a=nn.MultiheadAttention(4, 2))
    nn.init.ones_(module.a.in_proj_bias)
    ws.prune(module, sparsity=0.5, select={"role": "kernel"})
    assert int((module.a.in_proj_weight == 0).sum() + (module.a.out_proj.weight == 0).sum()) == 32
    assert bool((module.a.in_proj_bias == 1).all())


def test_levels_and_directions_are_told() -> None:
    found = ws.open(chain(r=nn.LSTM(2, 3, num_layers=2, bidirectional=True)))
    options = found.meaning("r.weight_hh_l1_reverse").options
    assert (options["level"], options["direction"]) == (1, "backward")
    assert found.meaning("r.weight_hh_l1_reverse").kind == "lstm"


def test_one_storage_is_one_tensor() -> None:
    found = ws.open(tied())
    assert found.ties == {"head.weight": "tok.weight"}
    assert np.array_equal(found["head.weight"].numpy(), found["tok.weight"].numpy())


@pytest.mark.parametrize("dtype", DTYPES_OF_TORCH)
def test_every_dtype_is_read_and_written_bit_for_bit(dtype: str, tmp_path: Path) -> None:
    bits = torch.arange(256, dtype=torch.uint8).repeat(16)
    values = bits.view(getattr(torch, dtype)) if dtype != "bool" else bits % 2 == 1
    module, other = nn.Module(), nn.Module()
    module.register_buffer("x", values.reshape(16, -1))
    other.register_buffer("x", torch.zeros_like(module.x))
    ws.port(module, other)
    ws.port(module, tmp_path / "x.pt")
    loaded = torch.load(tmp_path / "x.pt", weights_only=True)["x"]
    for found in (other.x, loaded):
        assert found.dtype == values.dtype
        assert torch.equal(found.view(torch.uint8), module.x.view(torch.uint8))


def test_strides_and_scalars_are_read() -> None:
    module = nn.Conv2d(4, 5, 3).to(memory_format=torch.channels_last)
    module.register_buffer("count", torch.tensor(7))
    module.register_buffer("conj", torch.view_as_complex(torch.ones(3, 2)).conj())
    found = ws.open(module)
    for name, x in module.state_dict().items():
        assert np.array_equal(found[name].numpy(), x.resolve_conj().numpy()), name
    block = ((1, 3), (0, 4), (2, 3), (0, 3))
    part = found.source.read("weight", block)
    assert np.array_equal(part, module.weight.detach().numpy()[1:3, :, 2:3])


def test_what_has_no_values_is_refused() -> None:
    with pytest.raises(FormatError, match="weight: is on the meta device and has no values"):
        ws.open(nn.Linear(2, 2, device="meta"))
    with pytest.raises(FormatError, match=r"weight: has no shape yet .* run the module once"):
        ws.open(nn.LazyLinear(2))
    sparse = nn.Module()
    sparse.register_buffer("x", torch.eye(3).to_sparse())
    with pytest.raises(FormatError, match="x: is no dense array"):
        ws.open(sparse)


def test_what_is_no_tensor_is_left_out_and_said() -> None:
    class Extra(nn.Linear):  # type: ignore[misc]
        def get_extra_state(self) -> dict[str, int]:
            return {"n": 1}

    source = ws.open(Extra(2, 2)).source
    assert source.remarks == ["_extra_state is a dict, no tensor: left out"]


# -- writing ---------------------------------------------------------------------------------


def test_parameters_stay_themselves() -> None:
    here, there = nn.Linear(3, 2), nn.Linear(3, 2)
    there.bias.requires_grad_(False)
    loss = there(torch.ones(1, 3)).sum()
    objects = dict(there.named_parameters())
    pointers = {n: p.data_ptr() for n, p in objects.items()}
    version = there.weight._version
    report = ws.port(here, there)
    assert str(report).endswith("→ live Linear")
    for name, p in there.named_parameters():
        assert p is objects[name]
        assert p.data_ptr() == pointers[name]
        assert p.grad_fn is None
    assert (there.weight.requires_grad, there.bias.requires_grad) == (True, False)
    assert torch.equal(there.weight, here.weight)
    assert there.weight._version > version  # so that autograd sees that it was changed
    assert loss.requires_grad


def test_a_dtype_is_kept_and_digits_are_not_lost_unasked() -> None:
    there = nn.Linear(3, 2, dtype=torch.bfloat16)
    before = snapshot(there)
    with pytest.raises(PlanError, match="float32 would lose digits as bfloat16"):
        ws.port(nn.Linear(3, 2), there)
    assert all(torch.equal(x, there.state_dict()[n]) for n, x in before.items())
    here = nn.Linear(3, 2)
    ws.port(here, there, policy="transfer")
    assert torch.equal(there.weight, here.weight.detach().bfloat16())


def test_what_does_not_fit_changes_nothing() -> None:
    here, there = chain(a=nn.Linear(3, 2), b=nn.Linear(2, 2)), chain(a=nn.Linear(3, 2))
    before = snapshot(there)
    with pytest.raises(PlanError, match=r"b.weight is made, but the target has no such tensor"):
        ws.port(here, there)
    with pytest.raises(PlanError, match=r"unmatched-target: b.weight .*no rule makes it"):
        ws.port(there, here)
    assert all(torch.equal(x, there.state_dict()[n]) for n, x in before.items())


def test_a_part_is_transferred_where_that_is_asked_for() -> None:
    here, there = chain(a=nn.Linear(3, 2)), chain(a=nn.Linear(3, 2), b=nn.Linear(2, 2))
    kept, version = there.b.weight.clone(), there.b.weight._version
    report = ws.port(here, there, policy="transfer")
    assert torch.equal(there.a.weight, here.a.weight)
    assert torch.equal(there.b.weight, kept)
    assert there.b.weight._version == version
    assert {r.name: r.action for r in report.rows}["b.weight"] == "kept"


def test_tied_names_take_one_value() -> None:
    here, there = tied(), tied()
    ws.port(here, there)
    assert torch.equal(here.tok.weight, there.head.weight)
    untied = chain(tok=nn.Embedding(5, 3), head=nn.Linear(3, 5, bias=False))
    with pytest.raises(PlanError, match=r"head.weight and tok.weight are one tensor in the base"):
        ws.port(untied, there)
    assert torch.equal(here.tok.weight, there.tok.weight)
    with torch.no_grad():
        untied.head.weight.copy_(untied.tok.weight)
    ws.port(untied, there)
    assert torch.equal(untied.tok.weight, there.tok.weight)


def test_a_dry_run_writes_nothing() -> None:
    here, there = nn.Linear(3, 2), nn.Linear(3, 2)
    before = snapshot(there)
    assert not ws.port(here, there, dry_run=True).written
    assert all(torch.equal(x, there.state_dict()[n]) for n, x in before.items())


def test_what_cannot_be_written_in_place_is_refused() -> None:
    there = nn.Module()
    there.register_buffer("x", torch.zeros(1).expand(3))
    with pytest.raises(OutputError, match="x: it is expanded"):
        ws.port(_with_x(), there)


def _with_x() -> Any:
    module = nn.Module()
    module.register_buffer("x", torch.ones(3))
    return module


def test_a_live_target_is_its_own_base() -> None:
    with pytest.raises(OutputError, match="is its own base: leave out template and into"):
        ws.port(nn.Linear(2, 2), nn.Linear(2, 2), template=nn.Linear(2, 2))


def test_whether_a_map_is_flattened_before_a_linear_only_keras_tells(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="whether a map is flattened before f only the other side"):
        ws.port(chain(f=nn.Linear(3, 2)), tmp_path / "x.safetensors", to="keras")
    ws.port(chain(f=nn.Linear(3, 2)), tmp_path / "x.safetensors")
    with pytest.raises(PlanError, match="whether a map is flattened before f only the other side"):
        ws.port(tmp_path / "x.safetensors", tmp_path / "y.safetensors", to="keras")


# -- files and live models -------------------------------------------------------------------


def test_to_a_file_and_back(tmp_path: Path) -> None:
    here, there = (
        chain(a=nn.BatchNorm1d(3), b=nn.LSTM(2, 3)),
        chain(a=nn.BatchNorm1d(3), b=nn.LSTM(2, 3)),
    )
    for suffix in ("safetensors", "pt"):
        path = tmp_path / f"x.{suffix}"
        ws.port(here, path)
        ws.port(path, there)
        assert ws.verify(here, there).equal
        assert ws.verify(there, path).equal
    fresh = chain(a=nn.BatchNorm1d(3), b=nn.LSTM(2, 3))
    fresh.load_state_dict(torch.load(tmp_path / "x.pt", weights_only=True))
    assert ws.verify(fresh, here).equal
    assert not ws.verify(chain(a=nn.BatchNorm1d(3), b=nn.LSTM(2, 3)), here).equal


# -- plans -----------------------------------------------------------------------------------


def plan(output: dict[str, str], *steps: Any) -> dict[str, Any]:
    return {"weightsurgeon": 1, "steps": list(steps), "output": output}


def test_a_plan_reads_and_writes_live_models() -> None:
    online, target = nn.Linear(3, 2), nn.Linear(3, 2)
    before, pointer = target.weight.detach().clone(), target.weight.data_ptr()
    step = {"soft_update": {"online": "online", "target": "target", "tau": 0.5, "as": "moved"}}
    moved = plan({"from": "moved", "into": "target"}, step)
    report = ws.run(moved, online=online, target=target)
    expected = before + 0.5 * (online.weight - before)
    assert torch.allclose(target.weight, expected, atol=1e-6)
    assert target.weight.data_ptr() == pointer
    assert report.output == "live Linear"


def test_what_a_plan_writes_into_must_be_live_and_must_fit(tiny: Path) -> None:
    def refusal(output: dict[str, str], **models: Any) -> str:
        with pytest.raises(PlanError) as caught:
            ws.run(plan(output), **models)
        return str(caught.value)

    whole = {"from": "a", "into": "b"}
    assert "does not fit float32" in refusal(whole, a=nn.Linear(3, 2), b=nn.Linear(4, 2))
    assert "into: b is a file; only a live" in refusal(whole, a=nn.Linear(3, 2), b=str(tiny))
    both = {**whole, "path": "x.pt"}
    assert "give `path`, or `into` alone" in refusal(both, a=nn.Linear(3, 2), b=nn.Linear(3, 2))
    assert "the key 'path' is missing" in refusal({"from": "a"}, a=nn.Linear(3, 2))
    assert "there is no 'c' here" in refusal({"from": "a", "into": "c"}, a=nn.Linear(3, 2))
