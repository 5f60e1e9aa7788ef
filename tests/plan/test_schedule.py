"""List scheduling: against schedules worked out by hand, and its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from randommask.plan.schedule import Task, bound, longest_paths, makespan


def test_a_chain_takes_its_sum_and_more_gpus_change_nothing():
    chain = [Task(3.0, 1), Task(4.0, 1, needs=(0,)), Task(5.0, 1, needs=(1,))]
    assert longest_paths(chain) == [12.0, 9.0, 5.0]
    assert makespan(chain, 1) == makespan(chain, 8) == bound(chain, 8) == 12.0


def test_independent_jobs_share_the_gpus():
    jobs = [Task(2.0, 1)] * 6
    assert [makespan(jobs, gpus) for gpus in (1, 2, 3, 6, 9)] == [12, 6, 4, 2, 2]


def test_the_longest_path_goes_first():
    # 0 -> 1 takes 10; the short ones fill the other GPU
    jobs = [Task(1.0, 1)] * 4 + [Task(4.0, 1), Task(6.0, 1, needs=(4,))]
    assert makespan(jobs, 2) == 10.0


def test_nothing_overtakes_a_job_that_waits_for_more_gpus():
    # after a second one GPU is free, but the wide job is next and starts at 3
    jobs = [Task(1.0, 1), Task(3.0, 1), Task(5.0, 2, needs=(0,)), Task(2.0, 1)]
    assert makespan(jobs, 2) == 10.0


def test_a_job_gets_what_there_is():
    assert makespan([Task(2.0, 8), Task(2.0, 8)], 4) == 4.0
    assert makespan([Task(2.0, cores=8), Task(2.0, cores=8)], 0, 4) == 4.0


def test_cores_limit_jobs_without_gpus():
    jobs = [Task(1.0, cores=2)] * 4
    assert makespan(jobs, 0, 4) == 2.0 and makespan(jobs, 0) == 1.0


def test_nothing_takes_no_time():
    assert makespan([], 1) == bound([], 1) == 0.0


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 12))
    return [
        Task(
            draw(st.integers(1, 9)),
            draw(st.integers(0, 3)),
            draw(st.integers(0, 3)),
            tuple(draw(st.sets(st.integers(0, place - 1)))) if place else (),
        )
        for place in range(count)
    ]


@given(graphs(), st.integers(1, 4), st.integers(1, 4))
def test_a_schedule_is_between_its_bounds(tasks, gpus, cores):
    taken = makespan(tasks, gpus, cores)
    assert bound(tasks, gpus) <= taken <= sum(task.seconds for task in tasks)
