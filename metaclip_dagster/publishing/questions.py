"""List what only the publisher can answer: the questions of each document, by their keys in publisher.yaml."""

from collections.abc import Mapping

from metaclip_dagster.publishing.eu_template import PROVIDER_QUESTIONS

QUESTIONS: Mapping[str, Mapping[str, str]] = {
    # Gebru et al. 2021, "Datasheets for Datasets", as far as no table of the lake has the answer.
    "datasheet": {
        "purpose": "For what purpose was the dataset created?",
        "creators": "Who created the dataset, and on behalf of which entity?",
        "funding": "Who funded the creation of the dataset?",
        "sensitive_content": "Was it looked for content that is confidential, offensive or about identifiable people?",
        "ethical_review": "Were any ethical review processes conducted?",
        "consent": "Were the people whom the data concern notified, and did they consent?",
        "impact_analysis": "Was the impact of the dataset on those people analysed?",
        "past_uses": "Has the dataset been used for any tasks already?",
        "other_uses": "What other tasks could it be used for?",
        "unsuitable_uses": "Are there tasks for which it should not be used?",
        "third_parties": "Is the dataset distributed to third parties, and how?",
        "release_date": "When is it distributed?",
        "restrictions": "Have third parties imposed restrictions on the data?",
        "export_controls": "Do export controls or other regulation apply to the dataset?",
        "maintainer": "Who supports, hosts and maintains the dataset?",
        "erratum": "Is there an erratum?",
        "updates": "How often is it updated, and by whom?",
        "retention": "Are there limits on how long data about people are kept?",
        "older_versions": "Are older versions still hosted?",
        "contributions": "How can others extend or contribute to it?",
    },
    "eu_summary": PROVIDER_QUESTIONS,
    "lists": {
        "title": "What are the lists called?",
        "license": (
            "Under which licence are the lists given away, as the Hugging Face Hub names licences (cc-by-sa-4.0, which "
            "is Wikipedia's)?"
        ),
        "intended_uses": "What are the lists intended for?",
    },
    "model_card": {
        "license": "Under which licence are the weights given away, as the Hugging Face Hub names licences (mit)?",
        "dataset": "Name of the dataset's repository on the Hub (ORG/NAME), where it is published.",
        "intended_uses": "What is the model intended for?",
        "unsuitable_uses": "What should the model not be used for?",
    },
}
