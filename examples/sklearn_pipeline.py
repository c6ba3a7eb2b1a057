"""A scikit-learn pipeline: which scaler, how many components, which classifier, and each classifier's own settings.

A fold of the cross-validation is a step, so a pipeline that is bad on the first folds is not tried on the others.
"""

import asynctune as at

FOLDS = 5


def pipeline(hp: at.HyperParameters) -> object:
    """The pipeline that these hyperparameters describe."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler
    from sklearn.svm import SVC

    scaler = {"standard": StandardScaler, "range": MinMaxScaler}[hp.Choice("scaler", ["standard", "range"])]()
    reduction = PCA(hp.Int("components", 2, 20), random_state=0)
    if hp.Choice("classifier", ["svm", "forest"]) == "svm":
        c, gamma = hp.Float("svm_c", 1e-2, 1e2, sampling="log"), hp.Float("svm_gamma", 1e-4, 1.0, sampling="log")
        return make_pipeline(scaler, reduction, SVC(C=c, gamma=gamma))
    trees, depth = hp.Int("trees", 10, 50, step=10), hp.Int("depth", 2, 10)
    return make_pipeline(scaler, reduction, RandomForestClassifier(trees, max_depth=depth, random_state=0))


def train(trial: at.Trial) -> None:
    """Report the mean accuracy over the folds so far, after each."""
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold

    x, y = trial.data["x"], trial.data["y"]
    model, scores = pipeline(trial.hp), list[float]()
    for learn, check in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y):
        scores.append(clone(model).fit(x[learn], y[learn]).score(x[check], y[check]))
        trial.report(accuracy=sum(scores) / len(scores))


if __name__ == "__main__":
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    result = at.run(
        train,
        objective=at.Objective("accuracy", "max"),
        scheduler=at.schedulers.MedianStopping(min_samples=5),
        max_trials=40,
        executor=at.LocalExecutor(2),
        data={"x": x, "y": y},
        seed=0,
        display=False,
    )
    folds = sum(trial.step for trial in result.trials.values())
    print(f"{len(result.trials)} pipelines, {folds} of {FOLDS * len(result.trials)} folds fitted")
    for trial in result.best_trials(3):
        print(f"trial {trial.id}: accuracy {trial.score:.4f}, {dict(trial.values)}")
