"""What several families of agents need: replay, collectors, networks, saving."""
