"""What a run saves for tables and figures, which need neither the model nor torchreid to read it."""
from .outcomes import Outcomes, read_outcomes, write_outcomes
from .ranked import (
    RankedQuery,
    load_image,
    ranked_queries,
    read_ranked,
    relative_path,
    spread,
    write_ranked,
)
from .samples import Samples, read_samples, write_samples

__all__ = [
    'Outcomes', 'RankedQuery', 'Samples', 'load_image', 'ranked_queries', 'read_outcomes', 'read_ranked',
    'read_samples', 'relative_path', 'spread', 'write_outcomes', 'write_ranked', 'write_samples',
]
