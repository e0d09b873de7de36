"""What people read: tables that stay whole wherever they are printed."""

from __future__ import annotations

import pytest

from qnn_sd.console import Console


def test_a_narrow_terminal_cuts_no_word_of_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = [f"down_blocks.{number}.attentions.0.transformer_blocks.0.attn1.to_out.0" for number in range(3)]
    Console().table(["block", "device", "ms"], [[name, "127.0.0.1:5755", 1.5] for name in names])
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    assert printed.count("127.0.0.1:5755") == 3
    assert "…" not in printed
