"""Networks in files: their class, arguments and weights come back, on the CPU, and nothing else is built or called."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from torch import nn

import ssmts
from ssmts import Naive, SpaceTimeForecaster, persist
from ssmts.deep.layers import Companion
from ssmts.deep.network import SpaceTimeNetwork
from ssmts.exceptions import PersistError

Y = np.sin(np.arange(80.0)) + np.linspace(0, 1, 80)


@pytest.fixture(scope="module")
def fitted():
    small = {"width": 4, "state_size": 8, "max_epochs": 1, "batches_per_epoch": 2, "n_threads": 1}
    return SpaceTimeForecaster(12, horizon=4, random_state=0, **small).fit(Y)


@pytest.fixture
def saved(fitted, tmp_path):
    ssmts.save(fitted, tmp_path / "model")
    return tmp_path / "model"


def rewritten(path, change=None, weights=None):
    """The file with another node of its network, or other weights."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "header.json" and change is not None:
                header = json.loads(content)
                change(header["estimator"]["v"][2]["network_"]["v"])
                content = json.dumps(header).encode()
            if name.endswith(".safetensors") and weights is not None:
                content = weights
            new.writestr(name, content)
    path.write_bytes(out.getvalue())


def test_networks_come_back_to_the_last_bit(fitted, saved):
    before = torch.random.get_rng_state()
    with torch.device("meta"):  # whatever the default device is
        found = ssmts.load(saved)
    assert torch.equal(torch.random.get_rng_state(), before)
    network = found.network_
    assert type(network) is SpaceTimeNetwork
    assert network.config == fitted.network_.config
    assert not network.training
    own = fitted.network_.state_dict()
    for name, value in network.state_dict().items():
        assert value.device.type == "cpu"
        assert value.dtype == own[name].dtype
        assert torch.equal(value, own[name])
    np.testing.assert_array_equal(found.predict(9), fitted.predict(9))
    more = Y[:5] + 1
    np.testing.assert_array_equal(found.update(more).predict(4), ssmts.load(saved).update(more).predict(4))
    found.fit(Y)  # and can be fitted again


def test_weights_are_a_member_that_others_can_read(fitted, saved):
    with zipfile.ZipFile(saved) as archive:
        kinds = {name.rpartition(".")[2] for name in archive.namelist()}
        assert kinds == {"json", "npy", "safetensors"}
        (member,) = (name for name in archive.namelist() if name.endswith(".safetensors"))
        weights = load_tensors(archive.read(member))
    assert weights.keys() == fitted.network_.state_dict().keys()


def test_equal_networks_give_equal_files(fitted, saved, tmp_path):
    ssmts.save(ssmts.load(saved), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_files_without_networks_need_no_torch(tmp_path):
    path = str(tmp_path / "naive")
    code = f"""
import sys, numpy as np, ssmts
ssmts.save(ssmts.Naive().fit(np.arange(5.0)), {path!r})
ssmts.load({path!r}).predict(1)
print([name for name in ("torch", "safetensors") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "name",
    [
        "ssmts.persist:save",
        "ssmts:Naive",
        "ssmts.deep.network:Output",
        "ssmts.deep.network:nn.Linear",
        "ssmts.deep.network:nn",
        "torch.nn:Linear",
        "os:system",
    ],
)
def test_what_is_no_network_of_ours_is_not_called(saved, tmp_path, name):
    target = tmp_path / "written"

    def change(node):
        arguments = [["estimator", {"t": "estimator", "v": ["ssmts:Naive", {}, {}]}], ["path", str(target)]]
        node[0], node[1] = name, {"t": "dict", "v": arguments}

    rewritten(saved, change)
    with pytest.raises(PersistError, match=r"as a network, which it is not|not part of ssmts"):
        ssmts.load(saved)
    assert not target.exists()


def test_arguments_of_another_version_are_named(saved):
    rewritten(saved, lambda node: node[1]["v"].append(["n_heads", 4]))
    with pytest.raises(PersistError, match=r"arguments \['n_heads'\], which 'ssmts.deep.network:SpaceTimeNetwork'"):
        ssmts.load(saved)


def test_weights_that_do_not_fit_are_refused(saved):
    with zipfile.ZipFile(saved) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(".safetensors"))
        content = archive.read(member)
    rewritten(saved, weights=content[:-4])
    with pytest.raises(PersistError, match=r"is damaged.*Save the estimator again"):
        ssmts.load(saved)
    rewritten(saved, lambda node: node[1]["v"].__setitem__(0, ["n_outputs", 2]), weights=content)
    with pytest.raises(PersistError, match=r"its weights are not those of a 'ssmts.deep.network:SpaceTimeNetwork'"):
        ssmts.load(saved)


def test_networks_that_cannot_be_built_again_are_refused_by_name(tmp_path):
    for network, message in (
        (Companion(2, 3), r"`network_` is the network .*Companion without a dict `config`"),
        (nn.Linear(1, 1), r"`network_` is a torch.nn.modules.linear.Linear, which a file cannot hold"),
    ):
        model = Naive().fit(Y)
        model.network_ = network
        with pytest.raises(PersistError, match=message):
            ssmts.save(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_shared_weights_are_written_twice():
    network = SpaceTimeNetwork(
        1, 0, 1, context_length=4, n_layers=1, width=2, state_size=2, dropout=0.0, preprocess=False
    )
    network.head.bias.data = network.embed.bias.data[:1]  # safetensors refuses tensors in the same memory
    writer = persist.Writer(persist._RULES)
    node = writer.encode(network)
    found = persist.Reader(persist._RULES, {}, [content for _, content in writer.blobs]).decode(node)
    assert torch.equal(found.head.bias, network.head.bias)
