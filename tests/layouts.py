"""Small corpus folders in the layout that each data spec describes: path -> content of the file.

Media files are empty; indexing reads only names and tables.
"""

import io
from pathlib import Path

import openpyxl

Files = dict[str, str | bytes]


def write(root: Path, files: Files) -> Path:
    """Write the files below ``root`` and return it."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        data = content.encode("utf-8") if isinstance(content, str) else content
        (root / path).write_bytes(data)
    return root


def workbook(rows: list[list[object]]) -> bytes:
    """Make an Excel workbook with these rows in its first sheet."""
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.create_sheet("Sheet2")
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def avec2013() -> Files:
    """Make four sessions; subject 205 is in train and test."""
    sessions = {"Training": ["203_1", "205_1"], "Development": ["206_2"], "Testing": ["205_2"]}
    scores = {"203_1": 13, "205_1": 14, "206_2": 0, "205_2": 45}
    files: Files = {f"Labels/{name}_Depression.csv": f"{score}\n" for name, score in scores.items()}
    for part, names in sessions.items():
        files |= {f"{part}/Video/{name}_cut_combined.mp4": "" for name in names}
    return files


def avec2014() -> Files:
    """Make three sessions of two tasks each; subject 215 has two sessions."""
    files: Files = {}
    scores = {("Training", "215_1"): 3, ("Development", "215_2"): 27, ("Testing", "247_3"): 14}
    for (part, name), score in scores.items():
        files[f"Final_Labels/{part}/{name}_Depression.csv"] = f"{score}"
        for task in ("Freeform", "Northwind"):
            for kind, end in (("Video", "video.mp4"), ("Audio", "audio.wav")):
                files[f"AVEC2014_AudioVisual/{kind}/{part}/{task}/{name}_{task}_{end}"] = ""
    return files


def eatd() -> Files:
    """Make two train subjects and one validation subject; two have the number 1."""
    files: Files = {}
    for subject, raw in {"t_1": 42.0, "t_12": 42.4, "v_1": 60.0}.items():
        files |= {
            f"{subject}/label.txt": f"{raw}\n",
            f"{subject}/new_label.txt": f"{raw * 1.25}\n",
        }
        for valence in ("positive", "neutral", "negative"):
            for end in (".wav", "_out.wav"):
                files[f"{subject}/{valence}{end}"] = ""
            files[f"{subject}/{valence}.txt"] = f"我觉得, {valence}\n还有"
    files["t_12/neutral.txt"] = ""
    return files


def modma() -> Files:
    """Make three subjects; five files of 02010004 cannot be read."""
    head = ["subject id", "type", "age", "gender", "education（years）", "PHQ-9", "GAD-7"]  # noqa: RUF001
    subjects = [
        ["02010002", "MDD", 18, "F", 12, 23, 1],
        [2010004, "MDD", 44.0, "M", 9, 5, 1],
        [2020008, "HC", 31, "M", 16, 1, 1],
    ]
    rows: list[list[object]] = [[*head, None, None]]
    rows += [[*subject, None, "PHQ-9: Patient Health Questionnaire"] for subject in subjects]
    rows.append([None] * 8 + ["a remark below the table"])
    folder = "audio_lanzhou_2015"
    files: Files = {f"{folder}/subjects_information_audio_lanzhou_2015.xlsx": workbook(rows)}
    for subject in ("02010002", "02010004", "02020008"):
        files |= {f"{folder}/{subject}/{number:02}.wav": "" for number in range(1, 30)}
    return files


def androids() -> Files:
    """Make a patient and two controls; patient 01 and control 01 are two subjects."""
    files: Files = {
        "fold-lists.csv": "Read,,,,,,,Interview\nfold1,fold2\n'01_PF41_2','01_CM30_4'\n",
        "interview_timedata.csv": "01_PF41_2,0.5,3.1,7.0,9.2\n",
        "Androids.conf": "[component]\n",
        "Reading-Task/audio/PT/01_PF41_2.wav": "",
        "Reading-Task/audio/HC/01_CM30_4.wav": "",
        "Reading-Task/audio/HC/27_CF25_X.wav": "",
    }
    for name, group, turns in (("01_PF41_2", "PT", 11), ("01_CM30_4", "HC", 2)):
        files[f"Interview-Task/audio/{group}/{name}.wav"] = ""
        for turn in range(1, turns + 1):
            files[f"Interview-Task/audio_clip/{name}/{name}_{turn}.wav"] = ""
    return files


def ewre_raw() -> Files:
    """Make a depressed and a healthy subject with the same number, two words each."""
    words = "subject,step,start_s,end_s,word,valence\n"
    for subject in ("D012", "H012"):
        words += f"{subject},1,2.5,3.1,justice,positive\n{subject},0,0.5,1.0,tragedy,negative\n"
    return {"videos/D012.mp4": "", "videos/H012.mp4": "", "words.csv": words}


def cmdc() -> Files:
    """Make two patients and a control with twelve answers each; one has features of the face."""
    files: Files = {
        "5FoldSplitInfo.xlsx": b"",
        "cmdc_scores.csv": "subject,phq9,hamd17,gender,age\n",
    }
    for subject, score in (("MDD01", "17,22,female,31"), ("MDD02", ""), ("HC42", "2,,male,")):
        if score:
            files["cmdc_scores.csv"] = f"{files['cmdc_scores.csv']}{subject},{score}\n"
        for question in range(1, 13):
            stem = f"{subject}/Q{question}"
            files |= {f"{stem}.wav": "", f"{stem}.txt": "我最近睡得不好\n", f"{stem}.wav.csv": ""}
            files |= {f"{stem}.pkl": b"", f"{subject}/vector_Q{question}.csv": "-0.4253258.1\n"}
            if subject == "MDD01":
                files[f"{stem}.csv"] = (
                    "frame,timestamp,confidence,success,AU01_r\n1,0.0,0.98,1,0.2\n"
                )
    return files


def d3tec() -> Files:
    """Make two subjects with 27 answers, each recorded by two microphones."""
    head = "Participant_ID,Age,Gender,PHQ-9 Score,Institution,Depression Diagnosis (level)\n"
    files: Files = {"Dataset.csv": f"{head}1,21,F,10,ITESM,\n2,40,Hombre,9,ITESM,none\n"}
    for subject in ("001", "002"):
        for answer in ("", *(f"_{number}" for number in range(1, 27))):
            files[f"SM-27/{subject}{answer}.wav"] = ""
            files[f"iPhoneSE2020/{subject}_cel{answer}.wav"] = ""
    return files


def indic_bengali() -> Files:
    """Make two patients with the same number and a healthy subject."""
    rows = "10_DM_10,1,M,\n10_DM_11,1,M,\n10_NF_10,0,F,\n,,, \n"
    files: Files = {"speaker_id_metadata.csv": f"speaker_id,label,gender,\n{rows}"}
    for path in ("depression/10_DM_10", "depression/10_DM_11", "healthy/10_NF_10"):
        files[f"Data/{path}.wav"] = ""
    return files
