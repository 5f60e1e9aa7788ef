"""What is said and started before a run, what is tried once, what is said at its end."""

import threading
import time

from snakemake.jobs import Job

from randommask import forking
from randommask.doctor import start
from randommask.experiment import notes

BEGAN = time.time()

if workflow.is_main_process and not IS_MODULE:
    for line in [*notes.of(experiment), *NOT_TAKEN]:
        logger.warning(line)
    for line in notes.misspelt(sys.argv[1:], workflow, experiment):
        logger.warning(line)

# Snakemake retries whatever failed. What one line names would fail again (mostly): no node is
# taken for that, and what can resume (killed, preempted, out of time) still is retried.
Job.restart_times = property(
    lambda job: 0 if start.is_refused(job.log, BEGAN) else job.rule.restart_times
)


def cancel_timers():
    """Of Snakemake's limit of jobs a second; a finished run would wait for the last."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


onstart:
    planned = list(workflow.dag.needrun_jobs())
    executor = getattr(workflow.executor_plugin, "name", "local")
    if executor == "local":
        try:
            said = start.on_this_machine(experiment, planned, workflow.cores)
        except InputError as error:
            raise WorkflowError(str(error)) from None
        if said:
            logger.warning(said)
            os.environ[launch.ON_CPU] = "1"
        # On a cluster each job has a node, an environment and a time of its own.
        if experiment.forking and workflow.is_main_process:
            shell.prefix(forking.start())
    elif executor == "slurm":
        if wrong := start.on_slurm(job for job in planned if not job.is_local):
            raise WorkflowError("\n".join(map(str, wrong)))


onsuccess:
    cancel_timers()


onerror:
    cancel_timers()
    if failed := list(start.failures(workflow.scheduler.failed)):
        logger.error("\n".join(["failed:", *failed]))
