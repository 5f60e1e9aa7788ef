"""Pretraining against BertForMaskedLM, torch.optim.AdamW and the usual loop."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from made.genome import segment
from torch.nn.utils import clip_grad_norm_
from transformers import (
    BertConfig,
    BertForMaskedLM,
    get_linear_schedule_with_warmup,
)

from randommask.encoders import bert
from randommask.experiment.sections import Phase
from randommask.pretraining import trainer

STEPS, WARMUP = 20, 4
IGNORED = -100
JUDGE = "transformers' BertForMaskedLM, torch.optim.AdamW"
PROCESS = """
import sys, torch
from made.genome import segment
from randommask.pretraining import trainer

settings = torch.load(sys.argv[2], weights_only=False)
made = trainer.Trainer(settings, [sys.argv[1]])
for step in range({steps}):
    made.step(step)
if made.rank == 0:
    torch.save({{n: p.detach() for n, p in made.names.items()}}, sys.argv[3])
made.close()
torch.distributed.destroy_process_group()
"""


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def settings(dropout=0.0, **changes):
    """Twenty steps of sixteen sequences in micro-batches of four, on two phases."""
    made = segment(
        end=STEPS,
        steps=40,
        batch=16,
        clip=0.85,  # some of the norms that occur are above, others below
        weight_decay=0.1,
        warmup_steps=WARMUP,
        curriculum=[{"until": 6, "max_span": 4}, {"until": STEPS, "max_span": 8}],
        **changes,
    ).settings
    sizes = made.architecture.model_copy(update={"dropout": dropout})
    return made.model_copy(update={"architecture": sizes})


def labelled(batch):
    """Ids and labels of a micro-batch, as transformers' scripts have them."""
    ids = batch.inputs_MT.long()
    labels = torch.full((ids.numel(),), IGNORED)
    labels[batch.positions_P[: batch.masked]] = batch.targets_P[: batch.masked]
    return ids, labels.view(ids.shape)


def judge(folder, batches, made):
    """The usual loop over the same batches; the model, its losses and norms."""
    model = BertForMaskedLM.from_pretrained(folder).train()
    named = dict(model.named_parameters())
    exempt = ("bias", "LayerNorm.weight")
    groups = [
        {
            "params": [p for n, p in named.items() if n.endswith(exempt) == is_exempt],
            "weight_decay": 0.0 if is_exempt else made.weight_decay,
        }
        for is_exempt in (False, True)
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=made.learning_rate, betas=made.betas, eps=made.eps
    )
    # Transformers' first step has rate 0; ours begins at its second.
    [share, _] = get_linear_schedule_with_warmup(
        optimizer, WARMUP, made.steps
    ).lr_lambdas
    losses, norms, rates = [], [], []
    for step, parts in enumerate(batches):
        rates.append(made.learning_rate * share(step + (step < WARMUP)))
        for group in optimizer.param_groups:
            group["lr"] = rates[-1]
        masked = sum(part.masked for part in parts)
        total = 0.0
        for part in parts:
            ids, labels = labelled(part)
            if part.masked:  # the mean over none is no number
                mean = model(input_ids=ids, labels=labels).loss
                (mean * part.masked / masked).backward()
                total += mean.item() * part.masked / masked
        losses.append(total)
        norms.append(clip_grad_norm_(model.parameters(), made.clip).item())
        optimizer.step()
        optimizer.zero_grad()
    return model, losses, norms, rates


def distance(folder, names, model):
    """The largest difference of a weight, ours written as transformers names it."""
    theirs = {n: p.detach() for n, p in model.named_parameters()}
    ours = BertForMaskedLM.from_pretrained(folder)
    config = ours.config
    encoder = bert.Encoder(
        bert.EncoderConfig(
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            config.max_position_embeddings,
            4,
            "overlapping",
            0.0,
        )
    )
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            parameter.copy_(names[name])
    bert.save(encoder, folder.parent / "after")
    ours = BertForMaskedLM.from_pretrained(folder.parent / "after")
    assert theirs.keys() == dict(ours.named_parameters()).keys()
    return max(
        (theirs[name] - parameter.detach()).abs().max().item()
        for name, parameter in ours.named_parameters()
    )


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """Ours and the judge's after the same steps from the same weights."""
    torch.set_num_threads(1)
    told = settings()
    made = trainer.Trainer(told, [corpus])
    folder = tmp_path_factory.mktemp("judged") / "before"
    bert.save(made.model, folder)
    batches = [made.loader.make(step) for step in range(STEPS)]
    judged = judge(folder, batches, told)
    rates = [made.learning_rate(step) for step in range(STEPS)]
    for step in range(STEPS):
        made.step(step)
    history, _ = made.collect()
    made.close()
    return told, folder, dict(made.names), history, rates, judged


def test_twenty_steps_give_the_same_weights(trained, verdict):
    told, folder, names, history, _, (model, losses, norms, _) = trained
    ours = np.array([row["loss"] / row["masked"] for row in history])
    largest = np.abs(ours / losses - 1).max()
    verdict("loss of each of 20 steps, relative", JUDGE, largest, 1e-5)
    clipped = [norm > told.clip for norm in norms]
    assert any(clipped) and not all(clipped)
    found = np.array([row["gradient_norm"] for row in history])
    largest = np.abs(found / norms - 1).max()
    verdict("norm of the gradient, 4 micro-batches, relative", JUDGE, largest, 1e-4)
    largest = distance(folder, names, model)
    verdict("weights after 20 steps", JUDGE, largest, 1e-5)


def test_rates_are_transformers_but_for_its_idle_first_step(trained, verdict):
    *_, rates, (_, _, _, theirs) = trained
    largest = np.abs(np.array(rates) / theirs - 1).max()
    name = "transformers' linear schedule, a step later in the warm-up"
    verdict("learning rate of each step, relative", name, largest, 1e-12)


def test_two_processes_give_the_same_weights(trained, corpus, tmp_path, verdict):
    told, folder, _, _, _, (model, *_) = trained
    torch.save(told, tmp_path / "settings")
    (tmp_path / "program.py").write_text(PROCESS.format(steps=STEPS))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command = [*launch, "--standalone", tmp_path / "program.py"]
    command += [corpus, tmp_path / "settings", tmp_path / "after"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    names = torch.load(tmp_path / "after", weights_only=True)
    largest = distance(folder, names, model)
    verdict("weights after 20 steps on 2 processes", JUDGE, largest, 1e-5)


def runs_of(batch):
    """Lengths of the stretches of masked tokens in a micro-batch's sequences."""
    found = []
    is_masked = np.zeros(batch.inputs_MT.shape, bool)
    is_masked.flat[batch.positions_P[: batch.masked].numpy()] = True
    for row in is_masked:
        length = 0
        for masked in [*row, False]:
            if masked:
                length += 1
            elif length:
                found.append(length)
                length = 0
    return found


def test_a_phase_begins_at_its_step_and_no_other(corpus, verdict):
    """Centres so rare that spans seldom meet: the longest stretch tells the phase."""
    phases = [{"until": 6, "max_span": 4}, {"until": STEPS, "max_span": 12}]
    made = segment(
        end=STEPS, center_probability=0.002, batch=4096, micro_batch=4096,
        curriculum=phases,
    ).settings  # fmt: skip
    loader = trainer.Trainer(made, [corpus]).loader
    first = next(
        step
        for step in range(STEPS)
        if np.mean(np.array(runs_of(loader.make(step)[0])) > 8) > 0.1
    )
    loader.close()
    verdict("first step of the second phase", "a plain count of spans", first - 6, 0)
    assert first == 6


def test_validation_is_the_judges_loss_and_never_moves(corpus, tmp_path, verdict):
    told = settings()
    made = trainer.Trainer(told, [corpus])
    first = made.validate(told, Phase(until=1, max_span=8))
    masked = []
    inner = made._losses
    made._losses = lambda *tensors: masked.append(tensors) or inner(*tensors)
    before = {name: part.detach().clone() for name, part in made.names.items()}
    made.step(0)
    assert made.validate(told, Phase(until=1, max_span=8)) != first
    with torch.no_grad():
        for name, part in made.names.items():
            part.copy_(before[name])
    bert.save(made.model, tmp_path / "encoder")
    model = BertForMaskedLM.from_pretrained(tmp_path / "encoder").eval()
    masked.clear()
    assert made.validate(told, Phase(until=1, max_span=8)) == first
    made.close()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, positions, targets in masked:
            labels = torch.full((inputs.numel(),), IGNORED)
            is_target = targets != IGNORED
            labels[positions[is_target]] = targets[is_target]
            labels = labels.view(inputs.shape)
            loss = model(input_ids=inputs.long(), labels=labels).loss
            total += loss.item() * int(is_target.sum())
            count += int(is_target.sum())
    verdict("validation loss", JUDGE, abs(first - total / count), 1e-5)


def fresh():
    """Ours and the judge's with random weights, of the same sizes."""
    sizes = bert.EncoderConfig(2, 128, 4, 512, 64, 4, "overlapping", 0.1)
    ours = bert.Encoder(sizes)
    ours.initialise(torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    theirs = BertForMaskedLM(
        BertConfig(
            vocab_size=4**4 + 5,
            hidden_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=512,
            max_position_embeddings=64,
        )
    )
    return ours, theirs


def test_first_weights_are_drawn_as_berts(tmp_path, verdict):
    ours, theirs = fresh()
    bert.save(ours, tmp_path / "ours")
    ours = dict(BertForMaskedLM.from_pretrained(tmp_path / "ours").named_parameters())
    exact, spread = 0.0, 0.0
    for name, judge in theirs.named_parameters():
        mine, judge = ours[name].detach(), judge.detach()
        if judge.std() == 0:  # biases are 0 and norms are 1
            exact = max(exact, (mine - judge).abs().max().item())
            continue
        # Mean, spread and fourth moment, in standard errors of a normal sample. Types
        # of tokens are 2 rows in BERT, of which one is used.
        n = mine.numel()
        moments = [
            (mine.mean() / 0.02).item() * math.sqrt(n),
            (mine.std() / 0.02 - 1).item() * math.sqrt(2 * n),
            ((mine / 0.02).pow(4).mean() - 3).item() * math.sqrt(n / 96),
        ]
        if "token_type" not in name:
            spread = max(spread, *map(abs, moments))
    verdict("biases and norms before training", "BertForMaskedLM", exact, 0)
    name = "a normal of 0.02, in standard errors"
    verdict("moments of the first weights", name, spread, 5)


def test_dropout_falls_where_berts_does(tmp_path, verdict):
    """A place left out, or at another rate, changes how far the outputs scatter."""
    ours, _ = fresh()
    with torch.no_grad():  # as if trained: a place matters that moves the outputs
        for parameter in ours.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    bert.save(ours, tmp_path / "ours")
    theirs = BertForMaskedLM.from_pretrained(tmp_path / "ours")
    ids = torch.randint(
        5, 4**4 + 5, (4, 20), generator=torch.Generator().manual_seed(1)
    )
    wanted = torch.arange(ids.numel())

    def scatter(forward):
        torch.manual_seed(2)
        with torch.no_grad():
            drawn = torch.stack([forward() for _ in range(600)])
        return drawn.mean(0), drawn.std(0)

    ours.train(), theirs.train()
    mine = scatter(lambda: ours.head(ours(ids, wanted=wanted)))
    judge = scatter(lambda: theirs(input_ids=ids).logits.flatten(0, 1))
    ratio = (mine[1].pow(2).mean() / judge[1].pow(2).mean()).sqrt().item()
    verdict("scatter of the logits under dropout", JUDGE, abs(ratio - 1), 0.02)
    error = (mine[1] ** 2 + judge[1] ** 2).sqrt() / math.sqrt(600)
    scatters = error > 0  # [PAD]'s logit is its bias, as its embedding is 0
    apart = ((mine[0] - judge[0])[scatters] / error[scatters]).pow(2).mean().sqrt()
    verdict(
        "their means, in standard errors (root mean square)", JUDGE, apart.item(), 1.3
    )


def test_norms_gelu_and_the_tied_decoder_are_berts(tmp_path, verdict):
    ours, _ = fresh()
    bert.save(ours.eval(), tmp_path / "ours")
    theirs = BertForMaskedLM.from_pretrained(tmp_path / "ours").eval()
    config = theirs.config
    assert (config.hidden_act, config.layer_norm_eps) == ("gelu", 1e-12)
    weight = theirs.bert.embeddings.word_embeddings.weight
    assert theirs.cls.predictions.decoder.weight is weight
    with torch.no_grad():  # a bias that is not 0 is added once
        theirs.cls.predictions.bias.copy_(torch.randn(len(weight)))
    theirs.save_pretrained(tmp_path / "theirs")
    ids = torch.randint(
        5, 4**4 + 5, (3, 30), generator=torch.Generator().manual_seed(3)
    )
    bias = theirs.cls.predictions.bias
    with torch.no_grad():
        dict(ours.named_parameters())[_bias_of(ours)].copy_(bias)
        mine = ours.head(ours(ids, wanted=torch.arange(ids.numel())))
        judge = theirs(input_ids=ids).logits.flatten(0, 1)
    largest = (mine - judge).abs().max().item()
    verdict("logits: exact GELU, eps 1e-12, tied decoder, bias", JUDGE, largest, 1e-5)


def _bias_of(encoder):
    """The name of the bias of the vocabulary's logits: alone in being of its length."""
    [name] = [n for n, p in encoder.named_parameters() if p.shape == (4**4 + 5,)]
    return name
