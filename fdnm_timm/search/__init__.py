"""Find images of a person in a gallery: FAISS, in the order of `metrics`."""
from .answers import Answer, Answers, Match, search
from .exact import Found
from .index import Index
from .threshold import Threshold, choose_threshold, pids_of_csv, pids_of_folders

__all__ = [
    'Answer', 'Answers', 'Found', 'Index', 'Match', 'Threshold', 'choose_threshold', 'pids_of_csv', 'pids_of_folders',
    'search',
]
