"""The nightly load in Airflow 3, in a folder of the worker: fail (1, 2, 3), skip (4), page (5)."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from etl_exit_codes import BUSY, on_failure

with DAG(
    dag_id="star_schema_etl",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # a run loads what there is now: nights that were missed are not made up
    max_active_runs=1,
    tags=["star-schema-etl"],
):
    BashOperator(
        task_id="load",
        # exec: Airflow's SIGTERM reaches the run, which then rolls back.
        bash_command="exec .venv/bin/python main.py --quiet",
        cwd="/srv/star-schema-etl",
        skip_on_exit_code=BUSY,
        on_failure_callback=on_failure,
        retries=0,  # a run itself tries again what a disturbance has spoilt
        execution_timeout=timedelta(hours=6),
        do_xcom_push=False,
    )
