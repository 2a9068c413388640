"""Tree search: trees and roots in compiled code, evaluators, self-play; what AlphaGo, AlphaZero and MuZero stand on."""
