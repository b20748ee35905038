from mics_ray.core.reading.words import matches_gold, normalise_words, split_words, strip_lead


def test_words_are_normalised() -> None:
    texts = {
        "The  Left-Lung!": "left lung", "A": "a", "the": "the", "2.5 cm": "2.5 cm", "ER+": "er +", "<5%": "< 5 %",
        "T2 (axial)": "t 2 axial", "": "", "Straße": "strasse", "naïve… “x”": "naïve x", "肺炎。": "肺炎",
        "120/80 mmHg": "120/80 mmhg", "\u22125 mm": "-5 mm", "(-5)": "-5", "2-5": "2 5", "L4-5": "l 4 5", "37°": "37 °",
    }  # fmt: skip
    assert {text: normalise_words(text) for text in texts} == texts


def test_one_text_in_both_normal_forms_of_unicode_is_the_same() -> None:
    for composed, apart in (("Sjögren", "Sjo\u0308gren"), ("É", "E\u0301"), ("Å", "\u212b"), ("\u03bcm", "\u00b5m")):
        assert split_words(composed) == split_words(apart)


def test_what_changes_a_meaning_is_kept() -> None:
    pairs = [
        ("hepatitis A", "hepatitis"), ("-5", "5"), ("1/2", "1 2"), ("HER2-", "HER2"), ("HER2+", "HER2"), ("<5", "5"),
        ("कि", "का"), ("10²", "10"), ("5%", "5"), ("2.5", "25"),
    ]  # fmt: skip
    assert not [pair for pair in pairs if normalise_words(pair[0]) == normalise_words(pair[1])]


def test_what_leads_to_an_answer_is_taken_away() -> None:
    for text in ("The answer is left", '"left"', "**left**", "Therefore, the correct option is: left", "left"):
        assert strip_lead(text) == "left"


def test_an_answer_matches_the_gold_answer_but_for_case_punctuation_articles_and_its_lead() -> None:
    golds = ("Left pneumothorax", "HER2+ carcinoma")
    right = ("left pneumothorax.", "**Left  Pneumothorax**", "the left pneumothorax", "HER2+ Carcinoma",
             "The answer is: left-pneumothorax")  # fmt: skip
    wrong = ("pneumothorax", "left pneumothorax?", "no left pneumothorax", "left pneumothorax or effusion", "",
             "HER2- carcinoma", "HER2 carcinoma", "pneumothorax left", "...")  # fmt: skip
    assert [matches_gold(answer, golds) for answer in (*right, *wrong)] == [True] * len(right) + [False] * len(wrong)


def test_an_answer_without_words_matches_nothing_not_even_itself() -> None:
    assert not matches_gold("...", ("...",))
    assert matches_gold("Why?", ("why?",))
