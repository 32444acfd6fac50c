"""Ten training scripts of different make, as their libraries' documentation shows them.

Each function trains and returns its final weights. ``watch`` is what the two added lines call: with
it a script is watched, without it is the script as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Weights = list[torch.Tensor]
Watch = Callable[..., Any]


def data(rows: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 20, generator=generator)
    return x, (x[:, :3].sum(dim=1) > 0).long() + (x[:, 3] > 0.5).long()


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))


def loader(batch: int = 32) -> torch.utils.data.DataLoader[Any]:
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*data()), batch_size=batch, shuffle=True
    )


def weights(*models: nn.Module) -> Weights:
    return [p.detach().clone() for model in models for p in model.parameters()]


def plain_loop(watch: Watch | None) -> Weights:
    model, criterion = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    w = watch(model, optimizer) if watch else None
    for _epoch in range(4):
        for x, y in loader():
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            if w:
                w.log(loss=loss)
    if w:
        w.detach()
    return weights(model)


def compiled(watch: Watch | None) -> Weights:
    model, criterion = torch.compile(network(), backend="aot_eager"), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    w = watch(model, optimizer) if watch else None
    if w:
        x0, y0 = data(64)
        w.probe(lambda: criterion(model(x0), y0), every=10)
    for _epoch in range(3):
        for x, y in loader():
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
    if w:
        w.detach()
    return weights(model)


def mixed_precision(watch: Watch | None) -> Weights:
    model, criterion = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=5)
    w = watch(model, optimizer) if watch else None
    for _epoch in range(4):
        for x, y in loader():
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = criterion(model(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            if w:
                w.log(loss=loss)
    if w:
        w.detach()
    return weights(model)


def accumulation(watch: Watch | None) -> Weights:
    model, criterion = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=20)
    w = watch(model, optimizer) if watch else None
    for _epoch in range(4):
        for number, (x, y) in enumerate(loader(16), start=1):
            loss = criterion(model(x), y) / 4
            loss.backward()
            if number % 4 == 0:
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                if w:
                    w.log(loss=4 * loss)
    if w:
        w.detach()
    return weights(model)


def two_optimizers(watch: Watch | None) -> Weights:
    body, head = nn.Sequential(nn.Linear(20, 32), nn.ReLU()), nn.Linear(32, 3)
    criterion = nn.CrossEntropyLoss()
    slow = torch.optim.SGD(body.parameters(), lr=0.01)
    fast = torch.optim.RMSprop(head.parameters(), lr=1e-3)
    w = watch([body, head], {"body": slow, "head": fast}) if watch else None
    for _epoch in range(4):
        for x, y in loader():
            slow.zero_grad()
            fast.zero_grad()
            loss = criterion(head(body(x)), y)
            loss.backward()
            slow.step()
            fast.step()
            if w:
                w.log(loss=loss)
    if w:
        w.detach()
    return weights(body, head)


def gan(watch: Watch | None) -> Weights:
    generator = nn.Sequential(nn.Linear(8, 32), nn.LeakyReLU(0.2), nn.Linear(32, 20))
    critic = nn.Sequential(nn.Linear(20, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    criterion = nn.BCEWithLogitsLoss()
    for_critic = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for_generator = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    w = (
        watch({"G": generator, "D": critic}, {"D": for_critic, "G": for_generator})
        if watch
        else None
    )
    for _epoch in range(4):
        for real, _ in loader():
            ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
            for_critic.zero_grad()
            fake = generator(torch.randn(len(real), 8))
            loss_d = criterion(critic(real), ones) + criterion(critic(fake.detach()), zeros)
            loss_d.backward()
            for_critic.step()
            for_generator.zero_grad()
            loss_g = criterion(critic(fake), ones)
            loss_g.backward()
            for_generator.step()
            if w:
                w.log(loss_d=loss_d, loss_g=loss_g)
    if w:
        w.detach()
    return weights(generator, critic)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.lstm = nn.LSTM(16, 24, batch_first=True)
        self.out = nn.Linear(24, 5)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        found, _ = self.lstm(self.embedding(words))
        return self.out(found)


def lstm(watch: Watch | None) -> Weights:
    model, criterion = Tagger(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    words = torch.randint(0, 50, (64, 12), generator=torch.Generator().manual_seed(2))
    w = watch(model, optimizer) if watch else None
    if w:
        w.probe(
            lambda: criterion(model(words[:8]).flatten(0, 1), (words[:8] % 5).flatten()), every=8
        )
    for _epoch in range(6):
        for rows in torch.randperm(64).split(16):
            optimizer.zero_grad()
            loss = criterion(model(words[rows]).flatten(0, 1), (words[rows] % 5).flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()
            if w:
                w.log(loss=loss, batch=rows)
    if w:
        w.detach()
    return weights(model)


def lightning_trainer(watch: Watch | None) -> Weights:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = network()

        def training_step(self, batch: Any, _number: int) -> torch.Tensor:
            x, y = batch
            return nn.functional.cross_entropy(self.model(x), y)

        def validation_step(self, batch: Any, _number: int) -> None:
            x, y = batch
            self.log("val_loss", nn.functional.cross_entropy(self.model(x), y))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=1e-2)

    callbacks = []
    if watch:
        from optlab.callbacks import LightningWatch

        callbacks.append(LightningWatch(**watch.options))
    module = Module()
    trainer = lightning.Trainer(
        max_epochs=4,
        accelerator="cpu",
        gradient_clip_val=0.5,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        module, loader(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data(64)), 32)
    )
    return weights(module)


def hugging_face_trainer(watch: Watch | None) -> Weights:
    import tempfile

    import transformers

    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=3,
    )
    model = transformers.BertForSequenceClassification(config)
    generator = torch.Generator().manual_seed(3)
    words = torch.randint(0, 50, (64, 10), generator=generator)
    examples = [{"input_ids": row, "labels": int(row[0]) % 3} for row in words]
    callbacks = []
    if watch:
        from optlab.callbacks import HuggingFaceWatch

        callbacks.append(HuggingFaceWatch(**watch.options))
    with tempfile.TemporaryDirectory() as folder:
        trainer = transformers.Trainer(
            model=model,
            args=transformers.TrainingArguments(
                output_dir=folder,
                num_train_epochs=4,
                per_device_train_batch_size=8,
                gradient_accumulation_steps=2,
                logging_steps=1,
                save_strategy="no",
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
            ),
            train_dataset=examples,
            callbacks=callbacks,
        )
        trainer.train()
    return weights(model)


def keras_fit(watch: Watch | None) -> Weights:
    import keras

    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.Input((20,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(3),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    callbacks = []
    if watch:
        from optlab.callbacks import KerasWatch

        callbacks.append(KerasWatch(**watch.options))
    x, y = data()
    model.fit(
        x.numpy(),
        y.numpy(),
        batch_size=32,
        epochs=4,
        validation_split=0.25,
        verbose=0,
        callbacks=callbacks,
    )
    return [torch.as_tensor(weight) for weight in model.get_weights()]


PLAIN = (plain_loop, compiled, mixed_precision, accumulation, two_optimizers, gan, lstm)
LIBRARIES = (lightning_trainer, hugging_face_trainer, keras_fit)
