"""The peers: other ways to send the same packets, each as a program that does nothing else.

``python -m tests.bench.clients NAME URL CERTS SHEET CONNECTIONS`` posts one packet for each row of a CSV
file. None of them paces, persists or resumes; what they cost is measured at the gateway, as ours is.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.gateway import MCH_ID

APPID: Final = "wx0123456789abcdef"
KEY: Final = "192006250b4c09247ec02edce69f6a2d"
PATH: Final = "/mmpaymkttransfers/sendredpack"
_TEXTS: Final = {
    "send_name": "天虹百货",
    "act_name": "猜灯谜抢红包",
    "wishing": "祝您元宵节快乐!",
    "remark": "猜越多得越多,快来抢!",
    "client_ip": "192.0.2.10",
    "total_num": 1,
}
_XML: Final = {"Content-Type": "text/xml; charset=utf-8"}
_TIMEOUT_S: Final = 60


@dataclass(frozen=True)
class Job:
    """What a peer has to do."""

    url: str
    certs: Path
    sheet: Path
    connections: int

    @property
    def cert(self) -> tuple[str, str]:
        return str(self.certs / "client.pem"), str(self.certs / "client.key")

    @property
    def ca(self) -> str:
        return str(self.certs / "ca.pem")

    def rows(self) -> Iterator[tuple[str, int]]:
        """Openid and fen of each row."""
        with self.sheet.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield row["openid"], _fen(row["amount"])


def _fen(yuan: str) -> int:
    whole, _, cents = yuan.partition(".")
    return int(whole) * 100 + int(f"{cents:0<2}")


def _body(number: int, openid: str, fen: int) -> bytes:
    """A signed request as a careful script would make it."""
    fields = {
        **_TEXTS,
        "wxappid": APPID,
        "mch_id": MCH_ID,
        "mch_billno": f"{MCH_ID}{number:018d}",
        "nonce_str": f"{number:032d}",
        "re_openid": openid,
        "total_amount": fen,
    }
    signed = "&".join(f"{name}={fields[name]}" for name in sorted(fields)) + f"&key={KEY}"
    sign = hashlib.md5(signed.encode()).hexdigest().upper()
    members = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
    return f"<xml>{members}<sign><![CDATA[{sign}]]></sign></xml>".encode()


def _wechatpy(job: Job) -> Callable[[int, str, int], None]:
    """A client of wechatpy for each thread: one for all would share a pool of ten connections."""
    from wechatpy.pay import WeChatPay

    WeChatPay.API_BASE_URL = f"{job.url}/"
    own = threading.local()

    def send(number: int, openid: str, fen: int) -> None:
        if not hasattr(own, "pay"):
            own.pay = WeChatPay(APPID, KEY, MCH_ID, mch_cert=job.cert[0], mch_key=job.cert[1])
        texts = {name: value for name, value in _TEXTS.items() if name != "total_num"}
        own.pay.redpack.send(openid, fen, out_trade_no=f"{MCH_ID}{number:018d}", **texts)

    return send


def wechatpy(job: Job) -> None:
    """wechatpy's client, in one thread or in many."""
    send = _wechatpy(job)
    if job.connections == 1:
        for number, (openid, fen) in enumerate(job.rows()):
            send(number, openid, fen)
        return
    with ThreadPoolExecutor(job.connections) as pool:
        for done in [pool.submit(send, n, openid, fen) for n, (openid, fen) in enumerate(job.rows())]:
            done.result()


def plain(job: Job) -> None:
    """The loop that people write: pandas, ``iterrows``, ``requests.post``."""
    import pandas
    import requests

    for number, row in pandas.read_csv(job.sheet, dtype=str).iterrows():
        body = _body(int(str(number)), row["openid"], _fen(row["amount"]))
        answer = requests.post(
            job.url + PATH, data=body, headers=_XML, cert=job.cert, verify=job.ca, timeout=_TIMEOUT_S
        )
        assert b"SUCCESS" in answer.content


def session(job: Job) -> None:
    """The same loop with a session."""
    import pandas
    import requests

    with requests.Session() as http:
        http.cert, http.verify = job.cert, job.ca
        for number, row in pandas.read_csv(job.sheet, dtype=str).iterrows():
            body = _body(int(str(number)), row["openid"], _fen(row["amount"]))
            answer = http.post(job.url + PATH, data=body, headers=_XML, timeout=_TIMEOUT_S)
            assert b"SUCCESS" in answer.content


def prepared(job: Job) -> None:
    """``requests`` at its best: bodies made before, one prepared request copied, nothing from outside."""
    import requests
    from requests.adapters import HTTPAdapter

    bodies = [_body(n, openid, fen) for n, (openid, fen) in enumerate(job.rows())]
    with requests.Session() as http, ThreadPoolExecutor(job.connections) as pool:
        http.trust_env = False
        http.mount("https://", HTTPAdapter(pool_maxsize=job.connections, pool_block=True, max_retries=0))
        blank = requests.Request("POST", job.url + PATH, headers=_XML).prepare()

        def send(body: bytes) -> None:
            request = blank.copy()
            request.body = body
            request.headers["Content-Length"] = str(len(body))
            answer = http.send(
                request, allow_redirects=False, verify=job.ca, cert=job.cert, timeout=_TIMEOUT_S
            )
            assert b"SUCCESS" in answer.content

        if job.connections == 1:
            for body in bodies:
                send(body)
        else:
            list(pool.map(send, bodies))


def libcurl(job: Job) -> None:
    """libcurl's multi interface, bodies made before, answers only collected."""
    import pycurl

    bodies = iter([_body(n, openid, fen) for n, (openid, fen) in enumerate(job.rows())])
    multi = pycurl.CurlMulti()
    answers: dict[Any, list[bytes]] = {}

    def begin(handle: Any) -> bool:
        body = next(bodies, None)
        if body is None:
            return False
        answers[handle].clear()
        handle.setopt(pycurl.POSTFIELDSIZE, len(body))
        handle.setopt(pycurl.POSTFIELDS, body)
        multi.add_handle(handle)
        return True

    running = 0
    for _ in range(job.connections):
        handle = pycurl.Curl()
        answers[handle] = []
        for option, value in (
            (pycurl.URL, job.url + PATH),
            (pycurl.POST, 1),
            (pycurl.HTTPHEADER, [f"Content-Type: {_XML['Content-Type']}", "Expect:"]),
            (pycurl.CAINFO, job.ca),
            (pycurl.SSLCERT, job.cert[0]),
            (pycurl.SSLKEY, job.cert[1]),
            (pycurl.TIMEOUT, _TIMEOUT_S),
            (pycurl.WRITEFUNCTION, answers[handle].append),
        ):
            handle.setopt(option, value)
        running += begin(handle)
    while running:
        multi.perform()
        _, done, failed = multi.info_read()
        assert not failed, failed
        for handle in done:
            assert b"SUCCESS" in b"".join(answers[handle])
            multi.remove_handle(handle)
            running -= not begin(handle)
        if not done:
            multi.select(1.0)


PEERS: Final = {peer.__name__: peer for peer in (wechatpy, plain, session, prepared, libcurl)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.clients", description=__doc__)
    parser.add_argument("peer", choices=sorted(PEERS))
    parser.add_argument("url")
    parser.add_argument("certs", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("connections", type=int)
    options = parser.parse_args()
    # wechatpy has no setting for it, and where it is set already it overrules a session's own.
    os.environ["REQUESTS_CA_BUNDLE"] = str(options.certs / "ca.pem")
    PEERS[options.peer](Job(options.url, options.certs, options.sheet, options.connections))


if __name__ == "__main__":
    main()
