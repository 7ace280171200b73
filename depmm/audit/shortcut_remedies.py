"""Names of the findings about shortcuts, and what to check for each."""

COMBINED = "properties.combined"
OWN_FINDINGS = {
    "column.gender": "gender_shortcut",
    "steps.n_steps": "step_count_shortcut",
    "steps.duration_s": "duration_shortcut",
    "recording.black_border": "black_border_shortcut",
    "ids.order": "id_order_shortcut",
    "ids.runs": "id_runs_shortcut",
    "steps.words": "transcript_shortcut",
    COMBINED: "combined_shortcut",
}
_BY_SOURCE = {
    "column": "column_shortcut",
    "steps": "steps_shortcut",
    "sessions": "session_count_shortcut",
    "recording": "recording_shortcut",
    "missing": "missing_data_shortcut",
    "file_name": "file_name_shortcut",
}
_IDS = (
    "Do not give names and order of files to the model, and check whether the classes were "
    "recorded at different times or with different devices. If only the ids follow the label, and "
    "the model reads audio and faces only, allow the finding."
)
REMEDIES = {
    "gender_shortcut": "Report results by gender and the baseline of gender alone, or balance the "
    "classes.",
    "step_count_shortcut": "Sample the same number of steps from every session, so that a model "
    "cannot count them, and report the baseline of the number of steps alone.",
    "duration_shortcut": "Cut all sessions to the same duration, so that a model cannot measure "
    "it, and report the baseline of the duration alone.",
    "id_order_shortcut": _IDS,
    "id_runs_shortcut": _IDS,
    "black_border_shortcut": "Crop the borders of all videos before extraction: aligned faces at "
    "the edge of the frame include the border.",
    "column_shortcut": "Check whether the classes were recruited or recorded differently. Report "
    "results within the values of the column and the covariate baseline of the properties, or "
    "balance the classes. If the column is another form of the label, allow the finding.",
    "steps_shortcut": "Check whether tasks, segmentation or transcription differ between the "
    "classes, and use the same for all sessions.",
    "session_count_shortcut": "Check why the classes have different numbers of sessions. Weight or "
    "sample sessions so that subjects count equally, and report metrics per subject.",
    "recording_shortcut": "Check whether the classes were recorded with different devices or "
    "settings, or were converted differently. Convert all recordings from the originals in the "
    "same way; what a device or a codec removed cannot be restored, so report results within one "
    "device where it differs.",
    "missing_data_shortcut": "Check why it is missing more often in one class. A model sees which "
    "modality is missing: leave out the modality, or the sessions without it.",
    "file_name_shortcut": "Check where the differently named files come from: another device, "
    "site, date or program. Do not give names of files to the model. If only the names follow the "
    "label, allow the finding.",
    "transcript_shortcut": "Check who says it: a prompt of the interviewer or a heading of the "
    "transcript must be removed. If the participants say it, state it with the results.",
    "combined_shortcut": "Check the named properties first. Report the covariate baseline of the "
    "properties: a model must exceed it to show that voice and face add to them.",
}
SHORTCUT_NAMES = tuple(REMEDIES)


def finding_name(name: str) -> str:
    """Name the finding about a property.

    Parameters
    ----------
    name : str
        The property, ``<source>.<name>``.

    Returns
    -------
    str
        Name of the finding.
    """
    return OWN_FINDINGS.get(name) or _BY_SOURCE[name.partition(".")[0]]
