"""What goes wrong at the test Hub, on request."""
import re
import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

__all__ = ['Faults']


@dataclass
class Fault:
    path: str  # regular expression, searched in the path
    method: Optional[str]
    times: Optional[int]  # None: always
    status: Optional[int]
    headers: Dict[str, str]
    drop: Optional[str]  # 'before' or 'after' the request is carried out
    cut: Optional[int]  # bytes of the answer's body after which the connection ends
    flip: Optional[int]  # the byte of the answer's body that is changed
    meanwhile: Optional[Callable[[], Any]]  # what someone else does just before the request is carried out


class Faults:
    """What goes wrong, and how often."""

    def __init__(self) -> None:
        self.schedule: List[Fault] = []
        self.lock = threading.Lock()

    def add(
            self,
            path: str,
            method: Optional[str] = None,
            times: Optional[int] = 1,
            status: Optional[int] = None,
            headers: Optional[Dict[str, str]] = None,
            drop: Optional[str] = None,
            cut: Optional[int] = None,
            flip: Optional[int] = None,
            meanwhile: Optional[Callable[[], Any]] = None,
    ) -> None:
        self.schedule.append(Fault(path, method, times, status, headers or {}, drop, cut, flip, meanwhile))

    def clear(self) -> None:
        self.schedule.clear()

    def take(self, method: str, path: str) -> Optional[Fault]:
        with self.lock:
            for fault in self.schedule:
                if fault.method in (None, method) and re.search(fault.path, path) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None
