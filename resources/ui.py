"""Start Dagster's web server and daemon on this machine's loopback, with the deployment's own runs."""

import os
import sys

from resources.deployments import REPOSITORY, deployment


def main() -> None:
    """Become `dagster dev` with the deployment's DAGSTER_HOME; METACLIP_PORT moves it from port 3000."""
    os.chdir(REPOSITORY)
    os.environ["DAGSTER_HOME"] = str(deployment().dagster_home)
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1"]
    os.execv(command[0], [*command, "-p", deployment().port])  # noqa: S606  # this program, by its path


if __name__ == "__main__":
    main()
