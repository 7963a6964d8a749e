"""A desktop, as far as notifications go: a real D-Bus daemon, and a server that owns org.freedesktop.Notifications."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from jeepney import MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection

from tests.support.ports import wait_until

NAME = "org.freedesktop.Notifications"
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>
"""


@dataclass(frozen=True, slots=True)
class Bubble:
    """The arguments of one Notify."""

    application: str
    replaces: int
    icon: str
    summary: str
    body: str
    actions: list[str]
    hints: dict[str, Any]
    timeout: int


class Bus:
    """A session bus of its own."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self.address = f"unix:path={work / 'bus'}"

    def __enter__(self) -> Bus:
        config = self._work / "bus.conf"
        config.write_text(CONFIG.format(path=self._work / "bus"))
        self._process = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--nosyslog"], stderr=subprocess.DEVNULL
        )
        wait_until(lambda: (self._work / "bus").is_socket() or self._process.poll() is not None, "the bus is there")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


class Desktop:
    """A notification server on a bus. `refuse`: the name of the error that every Notify gets; `silent`: no answer."""

    def __init__(self, bus: Bus, *, abilities: tuple[str, ...] = ("body",), refuse: str = "", silent: bool = False):
        self._bus, self._abilities, self._refuse, self._silent = bus, abilities, refuse, silent
        self.got: list[Bubble] = []

    def __enter__(self) -> Desktop:
        self._connection = open_dbus_connection(self._bus.address)
        Proxy(message_bus, self._connection).RequestName(NAME)
        self._thread = threading.Thread(target=self._serve, args=(self._connection,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import socket

        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _serve(self, connection: DBusConnection) -> None:
        while True:
            try:
                message = connection.receive()
            except OSError:  # jeepney: ConnectionResetError at the end of the stream
                return
            if message.header.message_type is not MessageType.method_call or self._silent:
                continue
            match message.header.fields.values():
                case fields if "GetCapabilities" in fields:
                    connection.send(new_method_return(message, "as", (list(self._abilities),)))
                case fields if "Notify" in fields and not self._refuse:
                    values = list(message.body)
                    values[6] = {name: value for name, (_, value) in values[6].items()}
                    self.got.append(Bubble(*values))
                    connection.send(new_method_return(message, "u", (len(self.got),)))
                case _:
                    connection.send(new_error(message, self._refuse or "org.freedesktop.DBus.Error.UnknownMethod"))
