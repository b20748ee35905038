"""A Ray cluster of two nodes with two pretended GPUs each and a head with none, for other processes to join.

Prints its address, and goes when its standard input is closed.
"""

import sys
import tempfile

from ray.cluster_utils import Cluster

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="mr", dir="/tmp") as folder:
        head = {"num_cpus": 1, "num_gpus": 0, "include_dashboard": False, "temp_dir": folder}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=2, num_gpus=2)
            print(f"address {cluster.address}", flush=True)
            sys.stdin.read()
        finally:
            cluster.shutdown()
