"""Scoring: critiques of steps, their votes, and what the votes come to.

From a config to judgements, with nothing but `genprm`::

    import asyncio
    from genprm import Config, Judgement, build_engine, load_config, load_critic

    async def judge(config: Config) -> Judgement:
        critic = load_critic(config)  # checks pack, manifest and calibration; loads no weights
        source = critic.source
        engine = await build_engine(config.engine, source.model, source.adapter_rank)
        scorer = await critic.scorer(engine)
        judgement = await scorer.score("Compute 2 + 3.", ["2 + 3 = 5", "So 6."], votes=4)
        await engine.close()
        return judgement

    if __name__ == "__main__":
        print(asyncio.run(judge(load_config("tiny"))))

`base` is the contract (`StepScorer`), `critic` finds and checks the critic of a config, `scorer`
judges solutions. What one critique is about is a module each (`prefix`, `turns`, `solution`), over
`judging` and `rounds`; `critiques` gets critiques and verdicts from the engine, `voting` and
`calibration` say what they come to.
"""
