"""The nightly load in Airflow 3, in a container: fail (1, 2, 3), skip (4), page (5)."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG
from docker.types import Mount
from etl_exit_codes import BUSY, on_failure

with DAG(
    dag_id="star_schema_etl_docker",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # a run loads what there is now: nights that were missed are not made up
    max_active_runs=1,
    tags=["star-schema-etl"],
):
    DockerOperator(
        task_id="load",
        image="star-schema-etl",
        command="--quiet",
        mounts=[
            # The settings, secrets among them: of user 10001, mode 600, and unknown to Airflow.
            Mount("/app/.env", "/etc/star-schema-etl.env", type="bind", read_only=True),
            Mount("/app/data", "/srv/star-schema-etl/data", type="bind"),
            Mount("/app/logs", "/srv/star-schema-etl/logs", type="bind"),
        ],
        mount_tmp_dir=False,
        user="10001",
        auto_remove="force",
        skip_on_exit_code=BUSY,
        on_failure_callback=on_failure,
        retries=0,  # a run itself tries again what a disturbance has spoilt
        execution_timeout=timedelta(hours=6),
        do_xcom_push=False,
    )
