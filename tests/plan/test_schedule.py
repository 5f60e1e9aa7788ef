"""The bound against schedules worked out by hand."""

import math

from randommask.plan.schedule import TimedJob, bound, longest_path


def test_a_chain_takes_its_sum_and_more_gpus_change_nothing():
    chain = [
        TimedJob(3.0, 1),
        TimedJob(4.0, 1, needs=(0,)),
        TimedJob(5.0, 1, needs=(1,)),
    ]
    assert longest_path(chain) == 12.0
    assert bound(chain, 1, math.inf) == bound(chain, 8, math.inf) == 12.0


def test_jobs_may_stand_before_those_they_wait_for():
    assert longest_path([TimedJob(4.0, 1, needs=(1,)), TimedJob(3.0, 1)]) == 7.0


def test_independent_jobs_share_the_gpus():
    jobs = [TimedJob(2.0, 1)] * 6
    assert [bound(jobs, n, math.inf) for n in (1, 2, 3, 6, 9)] == [12, 6, 4, 2, 2]


def test_a_job_gets_what_there_is():
    assert bound([TimedJob(2.0, 8)] * 2, 4, math.inf) == 4.0
    assert bound([TimedJob(2.0, cores=8)] * 2, 0, 4) == 4.0


def test_cores_limit_jobs_without_gpus():
    jobs = [TimedJob(1.0, cores=2)] * 4
    assert bound(jobs, 0, 4) == 2.0 and bound(jobs, 0, math.inf) == 1.0


def test_nothing_takes_no_time():
    assert bound([], 1, math.inf) == 0.0
