"""How well bots are told by their user agent, on agents that crawler-user-agents did not choose.

    pip install --no-deps device-detector==6.5.1 fake-useragent==2.2.0 regex ahocorasick_rs yaml_rs
    python -m tests.benchmarks.sessions_agents

Bots: the fixtures of device-detector (collected by Matomo). Browsers: what visitors of real sites sent, as
fake-useragent carries it; and all agents that device-detector calls a browser, museum pieces and televisions included.
The general rules of bots.py were written with one half of the bots in view (even MD5); read the other half.
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.bots import is_bot_agent
from retail_spark.engine.settings_layers import resolve
from retail_spark.spark.session import get_session


def main() -> None:
    bots, browsers = _of_device_detector()
    told = (files("fake_useragent") / "data" / "browsers.jsonl").read_text(encoding="utf-8").splitlines()
    real = {json.loads(line)["useragent"] for line in told}
    spark = get_session(resolve(sets=["lake.root=/tmp/sessions_agents"]))
    halves = {n: {a for a in bots if int(hashlib.md5(a.encode()).hexdigest(), 16) % 2 == n} for n in (0, 1)}
    for name, agents in (("bots in view", halves[0]), ("bots not in view", halves[1])):
        found = len(_flagged(spark, agents))
        print(f"{name}: {found} of {len(agents)} found, recall {found / len(agents):.1%}")
    for name, agents in (("real browsers", real), ("browsers of device-detector", browsers)):
        wrong = _flagged(spark, agents)
        print(f"{name}: {len(wrong)} of {len(agents)} wrongly flagged", *sorted(wrong)[:5], sep="\n  ")


def _flagged(spark: SparkSession, agents: set[str]) -> set[str]:
    frame = spark.createDataFrame([(agent,) for agent in sorted(agents)], "agent string")
    return {row["agent"] for row in frame.where(is_bot_agent(F.col("agent"))).collect()}


def _of_device_detector() -> tuple[set[str], set[str]]:
    folder = Path(str(files("device_detector"))) / "tests" / "fixtures" / "upstream"
    bots: set[str] = set()
    browsers: set[str] = set()
    for file in sorted(folder.glob("*.yml")):
        for one in yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader):
            agent = one.get("user_agent")
            if agent and file.stem == "bots":
                bots.add(agent)
            elif agent and (one.get("client") or {}).get("type") == "browser":
                browsers.add(agent)
    return bots, browsers


if __name__ == "__main__":
    main()
