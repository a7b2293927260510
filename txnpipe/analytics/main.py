"""The analytics app: executes statements.sql, which lies beside this file, in Managed Flink.

Everything up to the INSERTs defines tables and views; the INSERTs become one job. Managed Flink expects this
program to return once the job is submitted. It imports nothing but the standard library and PyFlink.

The service unpacks the zip and runs this file where it lies, so that what is beside it can be read: AWS's
example PythonDependencies finds its requirements.txt in the same way
(https://github.com/aws-samples/amazon-managed-service-for-apache-flink-examples).
"""

import re
from pathlib import Path

from pyflink.table import EnvironmentSettings, TableEnvironment  # type: ignore[import-untyped]

END_OF_STATEMENT = re.compile(r";[ \t]*(?:\n|\Z)")
SETTING = re.compile(r"SET '([^']+)' = '([^']*)'")


def main() -> None:
    """Submits the job."""
    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    inserts = environment.create_statement_set()
    text = (Path(__file__).parent / "statements.sql").read_text("utf-8")
    for part in END_OF_STATEMENT.split(text):
        statement = part.strip()
        setting = SETTING.fullmatch(statement)
        if setting:
            environment.get_config().set(setting[1], setting[2])
        elif statement.startswith("INSERT "):
            inserts.add_insert_sql(statement)
        elif statement:
            environment.execute_sql(statement)
    inserts.execute()


if __name__ == "__main__":
    main()
