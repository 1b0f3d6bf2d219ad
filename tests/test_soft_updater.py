"""Live soft updates of torch modules: the same objects, no autograd, and what is refused."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import weightsurgeon as ws
from weightsurgeon.errors import SurgeryError

torch = pytest.importorskip("torch")
nn: Any = torch.nn


def pair(module: Any) -> tuple[Any, Any]:
    """A module and its target, which differ in every value."""
    target = deepcopy(module)
    with torch.no_grad():
        for x in target.state_dict().values():
            x.add_(1)
    return module, target


def net() -> Any:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_47_the_same_objects_move_and_autograd_sees_nothing() -> None:
    online, target = pair(net())
    target.eval()
    before = {n: (p, p.data_ptr(), p.detach().clone()) for n, p in target.named_parameters()}
    update = ws.SoftUpdater(online, target, tau=0.25)
    assert update.step()
    for name, p in target.named_parameters():
        same, at, old = before[name]
        assert p is same
        assert (p.data_ptr(), p.requires_grad, p.grad_fn) == (at, True, None)
        new = online.get_parameter(name)
        torch.testing.assert_close(p.detach(), old + 0.25 * (new.detach() - old))
    assert not target.training
    assert torch.equal(target[1].running_mean, online[1].running_mean)  # 40, 41
    assert target[1].num_batches_tracked == online[1].num_batches_tracked
    assert target[1].num_batches_tracked.dtype == torch.int64


def test_72_every_fourth_call_fires_and_the_counts_are_kept() -> None:
    online, target = pair(nn.Linear(2, 2))
    update = ws.SoftUpdater(online, target, every=4, tau=0.5)
    assert [update.step() for _ in range(8)] == [False] * 3 + [True] + [False] * 3 + [True]
    assert update.state_dict() == {"calls": 8, "updates": 2}
    again = ws.SoftUpdater(online, target, every=4, tau=0.5)
    again.load_state_dict({"calls": 7, "updates": 1})
    assert again.step()


def test_38_n_updates_at_once() -> None:
    online, target = pair(nn.Linear(2, 2).double())
    other = deepcopy(target)
    ws.SoftUpdater(online, target, tau=0.01).step(50)
    one = ws.SoftUpdater(online, other, decay=0.99)
    for _ in range(50):
        one.step()
    torch.testing.assert_close(target.weight, other.weight, rtol=1e-12, atol=1e-12)
    kept = target.weight.detach().clone()
    ws.SoftUpdater(online, target, tau=0.5).step(0)
    assert torch.equal(target.weight, kept)


def test_43_a_tied_tensor_moves_once() -> None:
    module = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
    module[1].weight = module[0].weight
    target = deepcopy(module)
    with torch.no_grad():
        module[0].weight.fill_(1)
        target[0].weight.fill_(0)
    ws.SoftUpdater(module, target, decay=0.9).step()
    assert torch.allclose(target[1].weight, torch.tensor(0.1))
    assert target[0].weight is target[1].weight


def test_37_stalls_are_counted_without_a_change() -> None:
    online, target = nn.Linear(8, 8).bfloat16(), nn.Linear(8, 8).bfloat16()
    with torch.no_grad():
        for p, q in zip(online.parameters(), target.parameters(), strict=True):
            p.fill_(2)
            q.fill_(1)
    update = ws.SoftUpdater(online, target, tau=0.001)
    assert update.stall() == {"changed": 0, "stalled": 72}
    assert (target.weight == 1).all()


def ones_to_twos(size: int = 8) -> tuple[Any, Any]:
    online, target = (nn.Linear(size, size, bias=False).bfloat16() for _ in range(2))
    with torch.no_grad():
        for p, q in zip(online.parameters(), target.parameters(), strict=True):
            p.fill_(2)
            q.fill_(1)
    return online, target


@pytest.mark.parametrize("storage", ["float32", "compensated"])
def test_37_what_a_dtype_has_no_room_for_is_kept_beside_it(storage: str) -> None:
    online, target = ones_to_twos(2)
    update = ws.SoftUpdater(online, target, tau=0.001, storage=storage)
    for _ in range(1500):
        update.step()
    state = update.state_dict()
    again = ws.SoftUpdater(online, target, tau=0.001, storage=storage)
    again.load_state_dict(state)  # as after a restart
    for _ in range(1500):
        again.step()
    assert float((target.weight.detach().float() - 1.95029).abs().max()) < 0.01
    assert target.weight.dtype == torch.bfloat16
    if storage == "float32":
        assert abs(again.state_dict()["stored"]["weight"] - 1.95029).max() < 1e-4
    with pytest.raises(SurgeryError, match="taken with another storage"):
        ws.SoftUpdater(online, target, tau=0.001).load_state_dict(state)
    state["stored"].pop("weight")
    with pytest.raises(SurgeryError, match="does not fit the target: weight"):
        again.load_state_dict(state)


def test_37_stochastic_rounding_counts_its_steps() -> None:
    online, target = ones_to_twos(64)
    update = ws.SoftUpdater(online, target, tau=0.001, storage={"stochastic": {"seed": 7}})
    for _ in range(30):
        update.step()
    assert abs(float(target.weight.detach().float().mean()) - (2 - 0.999**30)) < 0.002


def test_a_running_mean_counts_its_updates() -> None:
    online, target = pair(nn.Linear(3, 3).double())
    update = ws.SoftUpdater(online, target, average=0)
    seen = []
    for _ in range(4):
        with torch.no_grad():
            online.weight.normal_()
        seen.append(online.weight.detach().clone())
        update.step()
    torch.testing.assert_close(target.weight.detach(), torch.stack(seen).mean(0))
    update.step(4)  # four times the last one
    seen += [seen[-1]] * 4
    torch.testing.assert_close(target.weight.detach(), torch.stack(seen).mean(0))


def test_dtypes_may_differ() -> None:
    online, target = pair(nn.Linear(3, 3).bfloat16())
    target = target.float()
    old = target.weight.detach().clone()
    ws.SoftUpdater(online, target, tau=0.25).step()
    assert target.weight.dtype == torch.float32
    torch.testing.assert_close(target.weight.detach(), old + 0.25 * (online.weight - old).detach())


@pytest.mark.parametrize("change", ["assign", "double", "last", "data"])
def test_a_model_that_got_other_tensors_is_bound_anew(change: str) -> None:
    online, target = pair(nn.Linear(2, 2))
    update = ws.SoftUpdater(online, target, tau=1)
    if change == "assign":
        target.load_state_dict({n: x + 5 for n, x in target.state_dict().items()}, assign=True)
    elif change == "last":
        target.bias = nn.Parameter(torch.zeros(2))
    elif change == "data":
        online.bias.data = torch.zeros(2)
    else:
        target.double()
        online.double()
    update.step()
    assert torch.equal(target.weight, online.weight)
    assert torch.equal(target.bias, online.bias)


def test_36_a_plan_in_yaml_says_the_keys(tmp_path: Path) -> None:
    online, target = pair(nn.Linear(2, 2))
    path = tmp_path / "target.yaml"
    path.write_text(
        "weightsurgeon: 1\nsteps:\n"
        "- soft_update: {online: online, target: target, tau: 0.5, rules: [{select: bias, tau: 1}]}"
    )
    ws.SoftUpdater(online, target, plan=path).step()
    assert torch.equal(target.bias, online.bias)
    assert not torch.equal(target.weight, online.weight)
    with pytest.raises(SurgeryError, match="a live soft update wants"):
        ws.SoftUpdater(online, target, plan={"weightsurgeon": 1, "steps": []})
    with pytest.raises(SurgeryError, match="not both: tau"):
        ws.SoftUpdater(online, target, plan=path, tau=1)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"tau": 1.5}, "tau wants a number from 0 to 1"),
        ({"tau": 0.5, "storage": "float33"}, "storage: wants keep | float32 | compensated"),
        ({"tau": 0.5, "storage": {"stochastic": {"sed": 1}}}, "sed"),
        ({"average": -1}, "average: wants a whole number"),
        ({"average": 1, "tau": 0.5}, "not tau and average"),
        ({"tau": 0.5, "every": 0}, "every: wants a whole number"),
        ({}, "give one of tau, decay"),
    ],
)
def test_what_makes_no_sense_is_refused(keys: Any, text: str) -> None:
    with pytest.raises(SurgeryError, match=text):
        ws.SoftUpdater(*pair(nn.Linear(2, 2)), **keys)


def test_models_that_cannot_be_updated_are_refused() -> None:
    online, target = pair(nn.Linear(2, 2))
    with pytest.raises(SurgeryError, match="share the memory"):
        ws.SoftUpdater(online, online, tau=0.5)
    with pytest.raises(SurgeryError, match=r"only in the target: 0\.bias"):
        ws.SoftUpdater(nn.Sequential(nn.Linear(2, 2, bias=False)), nn.Sequential(target), tau=0.5)
    with pytest.raises(SurgeryError, match="does not fit target"):
        ws.SoftUpdater(nn.Linear(3, 2), target, tau=0.5)
    with pytest.raises(SurgeryError):
        ws.SoftUpdater(online, nn.Linear(2, 2, device="meta"), tau=0.5)


def test_names_that_a_hook_gave_are_updated_too() -> None:
    def renamed(module: Any, state: Any, prefix: str, meta: Any) -> None:
        state["other.name"] = state.pop("0.weight")

    pair_ = pair(nn.Sequential(nn.Linear(2, 2)))
    for module in pair_:
        module._register_state_dict_hook(renamed)
    ws.SoftUpdater(*pair_, tau=1).step()
    assert torch.equal(pair_[0][0].weight, pair_[1][0].weight)
