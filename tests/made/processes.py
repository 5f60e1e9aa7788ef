"""Several processes at once, as torchrun starts them, without its seconds."""

import multiprocessing
import os
import socket
import traceback
from concurrent.futures import ProcessPoolExecutor

import torch
import torch.distributed as dist


def together(world, function, *arguments):
    """What `function` returns in each of `world` processes, in their order."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["randommask.pretraining.trainer"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ProcessPoolExecutor(world, context) as pool:
        places = [(rank, world, port) for rank in range(world)]
        found = [pool.submit(_start, place, function, arguments) for place in places]
        return [future.result() for future in found]


def _start(place, function, arguments):
    names = ("RANK", "WORLD_SIZE", "MASTER_PORT")
    os.environ |= dict(zip(names, map(str, place), strict=True))
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    torch.set_num_threads(1)
    try:
        found = function(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # else the others would wait for this one
    dist.destroy_process_group()
    return found
