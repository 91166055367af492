"""The classifiers of texts, where texts have no words."""

import pickle

import numpy as np
import pytest

from leaven.pipelines.kinds.text.learners import learners, words_model
from leaven.pipelines.task import Task

TASK = Task(target="y", type="classification", metric="roc_auc", classes=("bad", "good"), positive="good")


def asked(*texts: str) -> np.ndarray:
    return np.array(texts, dtype=object)


def test_emoji_alone_are_told_apart() -> None:
    (learner,) = learners(TASK, ["tfidf"])
    X, y = asked("🙂", "🙂🙂", "🎉", "☹", "☹☹", "💔"), np.array([1, 1, 1, 0, 0, 0])
    said = learner.fit_predict(X, y, None, asked("🎉🎉", "💔", "words"), 1, 1)
    assert said[0, 1] > 0.5 > said[1, 1]


def test_nothing_at_all_is_the_shares_of_classes() -> None:
    (learner,) = learners(TASK, ["tfidf"])
    said = learner.fit_predict(asked("", "", ""), np.array([1, 0, 0]), None, asked(""), 1, 1)
    assert said[0] == pytest.approx([0.5, 0.5], abs=1e-6)


def test_where_there_are_words_they_are_what_is_counted() -> None:
    model = words_model().fit(asked("good day", "🙂 fine", "bad", "☹ worse"), np.array([1, 1, 0, 0]))
    assert set(model[0].vocabulary_) == {"good", "day", "good day", "fine", "bad", "worse"}
    assert (pickle.loads(pickle.dumps(model)).predict(asked("good")) == [1]).all()
