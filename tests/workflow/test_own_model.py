"""A substrate may import a module of the user's that is not in the repository."""


def test_a_model_is_found_through_pythonpath(fresh, tmp_path):
    models = tmp_path / "my models"
    models.mkdir()
    (models / "lent_model.py").write_text('"""A model of the user\'s."""\n')
    fresh.edit(
        "src/fimtiers/substrates/ising_chain.py",
        "from fimtiers import generators\n",
        "import lent_model\n\nfrom fimtiers import generators\n",
    )
    fresh.environment["PYTHONPATH"] = str(models)
    assert fresh.run("results/states/chain.nc") == {"build_states system=chain": 1}
