"""Every command with its arguments, in the order in which `--help` lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="flashsale",
    help="Reserves flash-sale stock in Fluent Commerce, one order at a time, on Kafka.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Port = Annotated[int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one.")]


@app.command()
def demo(
    orders: Annotated[
        Path | None,
        typer.Option(
            help="Your own orders (default: a real morning): CSV with the columns InvoiceNo, StockCode, "
            "Quantity, InvoiceDate, UnitPrice, CustomerID (an InvoiceNo that starts with C cancels), or JSON "
            "lines of order-placed events (order.placedAt says when)."
        ),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.01, help="How many times faster than they were placed.")
    ] = None,
) -> int:
    """Watch a rehearsed sale and its proof. Brings its own Kafka and its own Fluent."""
    from flashsale.cli.rehearsals import run_demo

    return run_demo(orders, speed)


@app.command()
def kafka(
    port: Port = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where its data stays; default: removed at the end.")
    ] = None,
) -> int:
    """Run the embedded Kafka until Ctrl-C. Prints KAFKA_BOOTSTRAP_SERVERS=host:port when it is ready."""
    from flashsale.cli.rehearsals import run_kafka

    return run_kafka(port, data_dir)


@app.command("fluent-simulator")
def fluent_simulator(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one.")] = 8080,
    stock: Annotated[
        Path | None, typer.Option(help='JSON file like {"SKU-001":{"LOC-1":100}}; default: a sample.')
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Of the faults, so that a run can be repeated.")] = 0,
    latency_ms: Annotated[float, typer.Option(min=0, help="Added to every answer.")] = 0,
    fault_rate: Annotated[float, typer.Option(min=0, max=1, help="Part of the requests that fail.")] = 0,
) -> int:
    """Run the Fluent simulator until Ctrl-C. Prints FLUENT_BASE_URL=http://… when it is ready."""
    from flashsale.cli.rehearsals import run_fluent_simulator

    return run_fluent_simulator(port, host, stock, seed, latency_ms, fault_rate)


@app.command()
def topics(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when something is wrong.")
    ] = False,
) -> int:
    """Create the topics that are missing, or check all. Those that exist are never changed."""
    from flashsale.cli.topics import check_all, create_all

    return check_all() if check else create_all()


@app.command()
def check(
    sku: Annotated[str | None, typer.Option(help="Also look at this SKU's stock in Fluent.")] = None,
) -> int:
    """Try everything that a sale needs. One line each, with the remedy; changes nothing."""
    from flashsale.cli.check import check_everything

    return check_everything(sku)


@app.command()
def worker(
    health_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Serve /healthz, /readyz and /metrics here; 0: any free port."),
    ] = None,
    health_host: Annotated[
        str, typer.Option(help="Address of the health port. Anybody who reaches it may read the figures.")
    ] = "127.0.0.1",
) -> int:
    """Run one worker until SIGTERM. It says `ready` on standard error when it takes orders in."""
    from flashsale.cli.worker import run_worker

    return run_worker(health_host, health_port)


@app.command()
def publish(
    topic: Annotated[str, typer.Argument(help="An input topic, such as order-placed.")],
    file: Annotated[str, typer.Argument(help="JSON lines, one event each; - is standard input.")],
    validate: Annotated[
        bool, typer.Option(help="Read every line first and send nothing when one is wrong.")
    ] = True,
) -> int:
    """Send events from a file. Prints `published N` once the broker has all of them."""
    from flashsale.cli.publish import publish_lines

    return publish_lines(topic, file, validate=validate)


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="Any topic of ours, such as order-outcomes.")],
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Everything that is there, not only what comes.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Stop when nothing has come for so many seconds.")
    ] = None,
    values: Annotated[bool, typer.Option("--values", help="Print values only, as they are.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each record.")] = False,
) -> int:
    """Look at the records of a topic. Prints `partition/offset key value` of what is committed."""
    from flashsale.cli.tail import Form, follow

    form = Form.VALUES if values else Form.JSON if json else Form.LINE
    return follow(topic, form, from_beginning=from_beginning, limit=limit, timeout_s=timeout)


@app.command()
def report(
    promotion: Annotated[str, typer.Argument(help="The promotion's id.")],
    json: Annotated[bool, typer.Option("--json", help="The report as one JSON object.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="One row per SKU.")] = False,
) -> int:
    """Show the newest report of a promotion. Exits with 1 when there is none."""
    from flashsale.cli.report import Form, show

    if json and csv:
        raise typer.BadParameter("--json and --csv exclude each other.")
    return show(promotion, Form.JSON if json else Form.CSV if csv else Form.TABLE)


@app.command()
def reconcile(
    promotion: Annotated[str, typer.Argument(help="The promotion's id.")],
    repair: Annotated[
        bool, typer.Option("--repair", help="Show the writes that would put it right; send none.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --repair: send them.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> int:
    """Compare a promotion's holds in Fluent with the ledger. Exits with 1 when they differ."""
    from flashsale.cli.reconcile import reconcile_promotion

    if yes and not repair:
        raise typer.BadParameter("--yes says nothing without --repair.")
    return reconcile_promotion(promotion, repair=repair, yes=yes, as_json=json)


@app.command()
def bridge(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0: any free one.")] = 8081,
    operations_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port of /metrics, /healthz and /readyz; default: none."),
    ] = None,
    operations_host: Annotated[
        str, typer.Option(help="Address of the operations port; nothing on it is signed.")
    ] = "127.0.0.1",
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Take requests without a signature; loopback only.")
    ] = False,
    default_wait: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to wait for the outcome of callers that send no Prefer."),
    ] = None,
) -> int:
    """Run the HTTP bridge until SIGTERM."""
    from flashsale.cli.bridge import run_bridge

    return run_bridge(
        host, port, operations_host, operations_port, unsigned=unsigned, default_wait_s=default_wait
    )


@app.command()
def sign(
    method: Annotated[str, typer.Argument(help="GET or POST.")],
    path: Annotated[str, typer.Argument(help="A route of the bridge, such as /consume-reservation.")],
    file: Annotated[str | None, typer.Argument(help="The body; - is standard input.")] = None,
    client: Annotated[
        str | None, typer.Option(help="A client in BRIDGE_SECRETS; default: its first one.")
    ] = None,
    url: Annotated[str, typer.Option(help="Address of the bridge.")] = "http://127.0.0.1:8081",
) -> int:
    """Print a curl command for the HTTP bridge that is signed with a secret from BRIDGE_SECRETS."""
    from flashsale.cli.sign import print_signed

    return print_signed(method, path, file, client, url)
