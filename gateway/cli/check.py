"""`linli check` and `linli schema`: says what is wrong with a configuration, and what one may say."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from gateway.cli import config_option
from gateway.cli.configured import EXIT_CONFIG
from gateway.contract import ConfigError
from gateway.words import many


@click.command()
@config_option
@click.option(
    "--probe", is_flag=True, help="Also open every line, read every device, look through every camera, call the broker."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(config: Path, probe: bool, as_json: bool) -> None:
    """Validate a configuration; every mistake comes with file, line, key and fix.

    Exit code 78 when the configuration cannot be used, 1 when a probe failed, else 0.
    """
    from gateway.plan import load_plan  # only now: `linli --help` must be quick

    try:
        plan = load_plan(config)
    except ConfigError as error:
        _refuse(error, as_json)
    report: dict[str, Any] = {
        "ok": True,
        "problems": [],
        "warnings": [*plan.warnings, *plan.broken_list_lines()],
        "summary": {
            "lines": len(plan.settings.line),
            "devices": len(plan.settings.device),
            "points": sum(len(device.spec.points) for device in plan.devices),
            "alarms": len(plan.settings.alarm),
            "cameras": len(plan.settings.camera),
        },
    }
    if not as_json:
        for warning in report["warnings"]:
            click.echo(f"{click.style('warning:', fg='yellow')} {warning}", err=True)
        click.echo(f"{config}: {click.style('OK', fg='green')}: {_summary(report['summary'], len(report['warnings']))}")
    failed = 0
    if probe:
        from gateway.cli.probe import probe_all

        results = []
        for result in probe_all(plan):
            results.append(result._asdict())
            failed += not result.ok
            if not as_json:
                word = click.style("OK", fg="green") if result.ok else click.style("FAILED", fg="red")
                click.echo(f"{result.kind} {result.name}: {word}: {result.sentence}")
        report["probe"] = results
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
    sys.exit(1 if failed else 0)


@click.command()
@click.option("--profile", is_flag=True, help="The schema of device profiles instead.")
def schema(profile: bool) -> None:
    """Print the JSON Schema of linli.toml, for editors that complete and check while you type."""
    from gateway.settings.schema import profile_schema, settings_schema

    click.echo(json.dumps(profile_schema() if profile else settings_schema(), indent=2, ensure_ascii=False))


def _refuse(error: ConfigError, as_json: bool) -> NoReturn:
    if as_json:
        refusal = {"ok": False, "problems": list(error.problems), "warnings": [], "summary": {}}
        click.echo(json.dumps(refusal, ensure_ascii=False))
    else:
        for problem in error.problems:
            click.echo(problem, err=True)
        count = len(error.problems)
        click.echo(f"{click.style('refused:', fg='red')} {many(count, 'problem')} to mend", err=True)
    sys.exit(EXIT_CONFIG)


def _summary(counts: dict[str, int], warnings: int) -> str:
    words = [f"{count} {what if count != 1 else what[:-1]}" for what, count in counts.items()]
    return ", ".join([*words, many(warnings, "warning")])
