"""The classifiers with which lift is measured on texts: logistic regressions, on words and on sentence embeddings."""

from typing import Any, ClassVar

from leaven.pipelines.kinds.learner import Learner, pick
from leaven.pipelines.kinds.text.transformer import Transformer
from leaven.pipelines.recipe import TUNED
from leaven.pipelines.task import Task

WORDS_C, POINTS_C = 10.0, 10.0  # how freely each may learn


class EvenLearner(Learner):
    """A learner that weighs every class the same, so that no threshold needs tuning."""

    even: ClassVar[bool] = True


def words_model(C: float = WORDS_C) -> Any:
    """Logistic regression on the words and pairs of words of texts, weighed by TF-IDF."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from leaven.pipelines.kinds.text.words import Words

    # Short texts have words of one letter that matter, and no stop words to spare.
    words = Words(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b|[?!]")
    return make_pipeline(words, LogisticRegression(C=C, class_weight="balanced", max_iter=200))


def points_model(C: float = POINTS_C) -> Any:
    """Logistic regression on the points of a sentence encoder."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=C, class_weight="balanced", max_iter=200)


def learners(task: Task, names_asked: list[str] | None = None, device: str = "cpu") -> list[Any]:
    """The learners named, or the house's own; see `learner.pick`. A user's own estimator gets the texts.

    `transformer:NAME` fine-tunes a model of transformers, a folder or name, on the device.
    """
    classes = len(task.classes)
    known = {
        "tfidf": EvenLearner("tfidf", "texts", False, classes, lambda seed, threads, X, count: words_model()),
        "minilm": EvenLearner(
            "minilm", "points", False, classes, lambda seed, threads, X, count: points_model()
        ),
    }
    known |= {
        name: EvenLearner(name, "texts", True, classes, _tuned(name.removeprefix(TUNED), device))
        for name in names_asked or ()
        if name.startswith(TUNED)
    }
    return pick(names_asked, known, task.type, classes)


def _tuned(name: str, device: str) -> Any:
    return lambda seed, threads, X, count: Transformer(name, seed, threads, device)
