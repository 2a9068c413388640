"""Matrix games: any payoff tensor, one-shot and repeated."""
