"""`birdwatch devices`: the input devices, by stable names."""

from __future__ import annotations

import json

import click

from birdwatch.live.microphone import input_devices

__all__ = ["devices"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, for programs.")
def devices(as_json: bool) -> None:
    """List input devices: number, name for --device, channels, rate, and which one is the default (*)."""
    found = input_devices()
    if as_json:
        for device in found:
            click.echo(
                json.dumps(
                    {
                        "number": device.index,
                        "name": device.stable,
                        "channels": device.channels,
                        "rate_hz": device.rate_hz,
                        "default": device.default,
                    },
                    ensure_ascii=False,
                )
            )
        return
    if not found:
        click.echo("no input device; connect a microphone, and see `birdwatch doctor`", err=True)
        return
    width = max(len(device.stable) for device in found)
    click.echo(f"    no  {'name for --device':{width}}  channels     rate")
    for device in found:
        mark = "*" if device.default else " "
        click.echo(f"  {mark} {device.index:2}  {device.stable:{width}}  {device.channels:8}  {device.rate_hz} Hz")
    click.echo("Names are stable; numbers change when a device is plugged in. * is the default.", err=True)
