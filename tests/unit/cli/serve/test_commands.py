"""What `dsv4 serve` says before it looks at a host."""

from __future__ import annotations

import pytest

from dsv4_launch.cli.main import main


@pytest.mark.parametrize(("timeout", "warned"), [("3600", False), ("7200", True)])
def test_more_patience_than_vllm_has_is_told(timeout: str, warned: bool, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["serve", "flash-b200", "--dry-run", "--facts", "hgx-b200", "--timeout", timeout, "--output", "json"]
    assert main(words) == 0
    assert ("start.timeout_s (3600 s)" in capsys.readouterr().err) is warned
