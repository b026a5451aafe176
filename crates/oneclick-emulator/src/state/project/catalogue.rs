//! The emulator's projects: invented, labelled so, and described in five languages.

use oneclick_proto::ProjectType;

/// A project. Its `texts` depend on the language.
pub(super) struct Sample {
    pub(super) project_id: &'static str,
    pub(super) project_type: ProjectType,
    pub(super) country_code: &'static str,
    pub(super) organization: &'static str,
    pub(super) goals: &'static [&'static Goal],
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) available: bool,
    pub(super) texts: ByLocale<Text>,
}

/// The texts of a project in one language.
pub(super) struct Text {
    pub(super) name: &'static str,
    pub(super) location: &'static str,
    pub(super) description: &'static str,
    pub(super) about: &'static [&'static str],
}

/// A Sustainable Development Goal of the United Nations.
pub(super) struct Goal {
    pub(super) number: u32,
    /// The goal's official colour.
    pub(super) color: &'static str,
    pub(super) texts: ByLocale<GoalText>,
}

/// The texts of a goal in one language.
pub(super) struct GoalText {
    /// The official short title.
    pub(super) title: &'static str,
    /// The goal's description, written for the emulator.
    pub(super) description: &'static str,
}

/// One value per language.
pub(super) struct ByLocale<T> {
    pub(super) en: T,
    pub(super) de: T,
    pub(super) es: T,
    pub(super) fr: T,
    pub(super) nl: T,
}

/// A code that no country has.
const NO_COUNTRY: &str = "ZZ";

const TREE_PLANTERS: &str = "Emulator Tree Planters";
const OCEAN_CLEANERS: &str = "Emulator Ocean Cleaners";
const CARBON_CATCHERS: &str = "Emulator Carbon Catchers";

static ZERO_HUNGER: Goal = Goal {
    number: 2,
    color: "#DDA63A",
    texts: ByLocale {
        en: GoalText { title: "Zero Hunger", description: "Enough good food for everyone." },
        de: GoalText { title: "Kein Hunger", description: "Genug gutes Essen für alle." },
        es: GoalText {
            title: "Hambre cero",
            description: "Alimentos sanos y suficientes para todas las personas.",
        },
        fr: GoalText {
            title: "Faim « zéro »",
            description: "Une nourriture saine et suffisante pour tous.",
        },
        nl: GoalText { title: "Geen honger", description: "Genoeg goed voedsel voor iedereen." },
    },
};

static RESPONSIBLE_CONSUMPTION: Goal = Goal {
    number: 12,
    color: "#BF8B2E",
    texts: ByLocale {
        en: GoalText {
            title: "Responsible Consumption and Production",
            description: "Use less and waste less.",
        },
        de: GoalText {
            title: "Nachhaltige/r Konsum und Produktion",
            description: "Weniger verbrauchen und weniger wegwerfen.",
        },
        es: GoalText {
            title: "Producción y consumo responsables",
            description: "Consumir menos y desperdiciar menos.",
        },
        fr: GoalText {
            title: "Consommation et production responsables",
            description: "Consommer moins et gaspiller moins.",
        },
        nl: GoalText {
            title: "Verantwoorde consumptie en productie",
            description: "Minder verbruiken en minder verspillen.",
        },
    },
};

static CLIMATE_ACTION: Goal = Goal {
    number: 13,
    color: "#3F7E44",
    texts: ByLocale {
        en: GoalText {
            title: "Climate Action",
            description: "Slow climate change and prepare for its effects.",
        },
        de: GoalText {
            title: "Maßnahmen zum Klimaschutz",
            description: "Den Klimawandel bremsen und sich auf seine Folgen vorbereiten.",
        },
        es: GoalText {
            title: "Acción por el clima",
            description: "Frenar el cambio climático y prepararse para sus efectos.",
        },
        fr: GoalText {
            title: "Mesures relatives à la lutte contre les changements climatiques",
            description: "Freiner le changement climatique et se préparer à ses effets.",
        },
        nl: GoalText {
            title: "Klimaatactie",
            description: "De klimaatverandering afremmen en de gevolgen ervan opvangen.",
        },
    },
};

static LIFE_BELOW_WATER: Goal = Goal {
    number: 14,
    color: "#0A97D9",
    texts: ByLocale {
        en: GoalText {
            title: "Life Below Water",
            description: "Keep oceans and seas clean and full of life.",
        },
        de: GoalText {
            title: "Leben unter Wasser",
            description: "Ozeane und Meere sauber und voller Leben halten.",
        },
        es: GoalText {
            title: "Vida submarina",
            description: "Mantener los océanos y los mares limpios y llenos de vida.",
        },
        fr: GoalText {
            title: "Vie aquatique",
            description: "Garder les océans et les mers propres et pleins de vie.",
        },
        nl: GoalText {
            title: "Leven in het water",
            description: "Oceanen en zeeën schoon en vol leven houden.",
        },
    },
};

static LIFE_ON_LAND: Goal = Goal {
    number: 15,
    color: "#56C02B",
    texts: ByLocale {
        en: GoalText {
            title: "Life on Land",
            description: "Protect forests, soils and the life in them.",
        },
        de: GoalText {
            title: "Leben an Land",
            description: "Wälder, Böden und das Leben darin schützen.",
        },
        es: GoalText {
            title: "Vida de ecosistemas terrestres",
            description: "Proteger los bosques, los suelos y la vida que albergan.",
        },
        fr: GoalText {
            title: "Vie terrestre",
            description: "Protéger les forêts, les sols et la vie qu’ils abritent.",
        },
        nl: GoalText {
            title: "Leven op het land",
            description: "Bossen, bodems en het leven daarin beschermen.",
        },
    },
};

/// Every project, in the order in which the API lists them.
pub(super) static PROJECTS: &[Sample] = &[
    Sample {
        project_id: "emulator-mountain-forest",
        project_type: ProjectType::Trees,
        country_code: NO_COUNTRY,
        organization: TREE_PLANTERS,
        goals: &[&CLIMATE_ACTION, &LIFE_ON_LAND],
        latitude: -31.275,
        longitude: -112.4803,
        available: true,
        texts: ByLocale {
            en: Text {
                name: "Emulator Mountain Forest",
                location: "Nowhere Mountains (this place does not exist)",
                description: "Plants native trees on a bare slope. \
                    This project is invented and exists only in the emulator.",
                about: &[
                    "The slope lost its forest long ago, and rain washes the soil away.",
                    "Young trees from a nursery in the valley hold the ground again.",
                    "Villagers look after them until they are tall enough.",
                ],
            },
            de: Text {
                name: "Emulator-Bergwald",
                location: "Nirgendsgebirge (diesen Ort gibt es nicht)",
                description: "Pflanzt heimische Bäume an einem kahlen Hang. \
                    Dieses Projekt ist erfunden und existiert nur im Emulator.",
                about: &[
                    "Der Hang hat seinen Wald längst verloren, und der Regen spült den Boden fort.",
                    "Junge Bäume aus einer Baumschule im Tal geben ihm wieder Halt.",
                    "Leute aus dem Dorf pflegen sie, bis sie groß genug sind.",
                ],
            },
            es: Text {
                name: "Emulator – Bosque de montaña",
                location: "Montañas de Ningunaparte (este lugar no existe)",
                description: "Planta árboles autóctonos en una ladera desnuda. \
                    Este proyecto es inventado y solo existe en el emulador.",
                about: &[
                    "La ladera perdió su bosque hace mucho tiempo y la lluvia arrastra la tierra.",
                    "Árboles jóvenes de un vivero del valle vuelven a sujetar el suelo.",
                    "La gente del pueblo los cuida hasta que son lo bastante altos.",
                ],
            },
            fr: Text {
                name: "Emulator – Forêt de montagne",
                location: "Monts de Nulle-Part (ce lieu n’existe pas)",
                description: "Plante des arbres indigènes sur un versant dénudé. \
                    Ce projet est inventé et n’existe que dans l’émulateur.",
                about: &[
                    "Le versant a perdu sa forêt il y a longtemps et la pluie emporte la terre.",
                    "De jeunes arbres venus d’une pépinière de la vallée retiennent le sol.",
                    "Les villageois en prennent soin jusqu’à ce qu’ils soient assez grands.",
                ],
            },
            nl: Text {
                name: "Emulator-bergbos",
                location: "Nergensgebergte (deze plek bestaat niet)",
                description: "Plant inheemse bomen op een kale helling. \
                    Dit project is verzonnen en bestaat alleen in de emulator.",
                about: &[
                    "De helling is haar bos allang kwijt en de regen spoelt de grond weg.",
                    "Jonge bomen uit een kwekerij in het dal houden de bodem weer vast.",
                    "Dorpelingen verzorgen ze tot ze groot genoeg zijn.",
                ],
            },
        },
    },
    Sample {
        project_id: "emulator-food-forest",
        project_type: ProjectType::Trees,
        country_code: NO_COUNTRY,
        organization: TREE_PLANTERS,
        goals: &[&ZERO_HUNGER, &CLIMATE_ACTION, &LIFE_ON_LAND],
        latitude: 38.6125,
        longitude: -41.37,
        available: true,
        texts: ByLocale {
            en: Text {
                name: "Emulator Food Forest",
                location: "Nowhere Valley (this place does not exist)",
                description: "Plants trees that bear fruit and nuts. \
                    This project is invented and exists only in the emulator.",
                about: &[
                    "Families plant mango and cashew trees between their fields.",
                    "The harvest feeds them, and what is left over goes to the market.",
                ],
            },
            de: Text {
                name: "Emulator-Waldgarten",
                location: "Nirgendstal (diesen Ort gibt es nicht)",
                description: "Pflanzt Bäume, die Obst und Nüsse tragen. \
                    Dieses Projekt ist erfunden und existiert nur im Emulator.",
                about: &[
                    "Familien pflanzen Mango- und Cashewbäume zwischen ihre Felder.",
                    "Von der Ernte leben sie, und was übrig bleibt, kommt auf den Markt.",
                ],
            },
            es: Text {
                name: "Emulator – Bosque comestible",
                location: "Valle de Ningunaparte (este lugar no existe)",
                description: "Planta árboles que dan fruta y frutos secos. \
                    Este proyecto es inventado y solo existe en el emulador.",
                about: &[
                    "Las familias plantan mangos y anacardos entre sus campos.",
                    "La cosecha las alimenta y lo que sobra va al mercado.",
                ],
            },
            fr: Text {
                name: "Emulator – Forêt nourricière",
                location: "Vallée de Nulle-Part (ce lieu n’existe pas)",
                description: "Plante des arbres qui donnent des fruits et des noix. \
                    Ce projet est inventé et n’existe que dans l’émulateur.",
                about: &[
                    "Des familles plantent des manguiers et des anacardiers entre leurs champs.",
                    "La récolte les nourrit et le surplus part au marché.",
                ],
            },
            nl: Text {
                name: "Emulator-voedselbos",
                location: "Nergensdal (deze plek bestaat niet)",
                description: "Plant bomen die fruit en noten dragen. \
                    Dit project is verzonnen en bestaat alleen in de emulator.",
                about: &[
                    "Gezinnen planten mango- en cashewbomen tussen hun akkers.",
                    "Ze eten van de oogst, en wat overblijft gaat naar de markt.",
                ],
            },
        },
    },
    Sample {
        project_id: "emulator-clean-bay",
        project_type: ProjectType::Ocean,
        country_code: NO_COUNTRY,
        organization: OCEAN_CLEANERS,
        goals: &[&RESPONSIBLE_CONSUMPTION, &LIFE_BELOW_WATER],
        latitude: -20.4618,
        longitude: 79.835,
        available: true,
        texts: ByLocale {
            en: Text {
                name: "Emulator Clean Bay",
                location: "Nowhere Bay (this place does not exist)",
                description: "Takes plastic out of a bay. \
                    This project is invented and exists only in the emulator.",
                about: &[
                    "Fishing boats bring back the plastic that ends up in their nets.",
                    "On the beach it is weighed, sorted and sent on for recycling.",
                    "The crews are paid for every sack.",
                ],
            },
            de: Text {
                name: "Emulator – Saubere Bucht",
                location: "Nirgendsbucht (diesen Ort gibt es nicht)",
                description: "Holt Plastik aus einer Bucht. \
                    Dieses Projekt ist erfunden und existiert nur im Emulator.",
                about: &[
                    "Fischerboote bringen das Plastik mit, das in ihren Netzen landet.",
                    "Am Strand wird es gewogen, sortiert und zum Recycling weitergegeben.",
                    "Die Besatzungen werden für jeden Sack bezahlt.",
                ],
            },
            es: Text {
                name: "Emulator – Bahía limpia",
                location: "Bahía de Ningunaparte (este lugar no existe)",
                description: "Saca plástico de una bahía. \
                    Este proyecto es inventado y solo existe en el emulador.",
                about: &[
                    "Los barcos de pesca traen a tierra el plástico que acaba en sus redes.",
                    "En la playa se pesa, se clasifica y se envía a reciclar.",
                    "Las tripulaciones cobran por cada saco.",
                ],
            },
            fr: Text {
                name: "Emulator – Baie propre",
                location: "Baie de Nulle-Part (ce lieu n’existe pas)",
                description: "Retire du plastique d’une baie. \
                    Ce projet est inventé et n’existe que dans l’émulateur.",
                about: &[
                    "Les bateaux de pêche rapportent le plastique pris dans leurs filets.",
                    "Sur la plage, il est pesé, trié et envoyé au recyclage.",
                    "Les équipages sont payés pour chaque sac.",
                ],
            },
            nl: Text {
                name: "Emulator – Schone baai",
                location: "Nergensbaai (deze plek bestaat niet)",
                description: "Haalt plastic uit een baai. \
                    Dit project is verzonnen en bestaat alleen in de emulator.",
                about: &[
                    "Vissersboten nemen het plastic mee dat in hun netten belandt.",
                    "Op het strand wordt het gewogen, gesorteerd en naar de recycling gebracht.",
                    "De bemanningen krijgen betaald voor elke zak.",
                ],
            },
        },
    },
    Sample {
        project_id: "emulator-river-mouth",
        project_type: ProjectType::Ocean,
        country_code: NO_COUNTRY,
        organization: OCEAN_CLEANERS,
        goals: &[&RESPONSIBLE_CONSUMPTION, &LIFE_BELOW_WATER],
        latitude: 36.74,
        longitude: 168.2155,
        available: false,
        texts: ByLocale {
            en: Text {
                name: "Emulator River Mouth",
                location: "Nowhere Estuary (this place does not exist)",
                description: "Stops plastic before it reaches the sea. \
                    This project is invented and exists only in the emulator.",
                about: &[
                    "A floating barrier guides the river’s plastic to the bank.",
                    "There it is lifted out by hand.",
                    "Work is paused for now because the barrier is being repaired.",
                ],
            },
            de: Text {
                name: "Emulator-Flussmündung",
                location: "Nirgendsmündung (diesen Ort gibt es nicht)",
                description: "Hält Plastik auf, bevor es das Meer erreicht. \
                    Dieses Projekt ist erfunden und existiert nur im Emulator.",
                about: &[
                    "Eine schwimmende Sperre lenkt das Plastik aus dem Fluss ans Ufer.",
                    "Dort wird es von Hand herausgeholt.",
                    "Zurzeit ruht die Arbeit, weil die Sperre repariert wird.",
                ],
            },
            es: Text {
                name: "Emulator – Desembocadura del río",
                location: "Estuario de Ningunaparte (este lugar no existe)",
                description: "Detiene el plástico antes de que llegue al mar. \
                    Este proyecto es inventado y solo existe en el emulador.",
                about: &[
                    "Una barrera flotante guía el plástico del río hacia la orilla.",
                    "Allí se recoge a mano.",
                    "Por ahora el trabajo está en pausa porque se está reparando la barrera.",
                ],
            },
            fr: Text {
                name: "Emulator – Embouchure du fleuve",
                location: "Estuaire de Nulle-Part (ce lieu n’existe pas)",
                description: "Arrête le plastique avant qu’il n’atteigne la mer. \
                    Ce projet est inventé et n’existe que dans l’émulateur.",
                about: &[
                    "Une barrière flottante guide le plastique du fleuve vers la rive.",
                    "Là, il est ramassé à la main.",
                    "Le travail est suspendu pour l’instant, car la barrière est en réparation.",
                ],
            },
            nl: Text {
                name: "Emulator-riviermonding",
                location: "Nergensmonding (deze plek bestaat niet)",
                description: "Houdt plastic tegen voordat het de zee bereikt. \
                    Dit project is verzonnen en bestaat alleen in de emulator.",
                about: &[
                    "Een drijvende barrière leidt het plastic uit de rivier naar de oever.",
                    "Daar wordt het met de hand uit het water gehaald.",
                    "Het werk ligt voorlopig stil omdat de barrière wordt gerepareerd.",
                ],
            },
        },
    },
    Sample {
        project_id: "emulator-air-filter",
        project_type: ProjectType::Carbon,
        country_code: NO_COUNTRY,
        organization: CARBON_CATCHERS,
        goals: &[&RESPONSIBLE_CONSUMPTION, &CLIMATE_ACTION],
        latitude: -47.315,
        longitude: -18.6204,
        available: true,
        texts: ByLocale {
            en: Text {
                name: "Emulator Air Filter",
                location: "Nowhere Plain (this place does not exist)",
                description: "Captures carbon dioxide from the air. \
                    This project is invented and exists only in the emulator.",
                about: &[
                    "Large fans draw air through a filter that holds back the carbon dioxide.",
                    "The gas is dissolved in water and pumped deep underground.",
                    "There it slowly turns to stone.",
                ],
            },
            de: Text {
                name: "Emulator-Luftfilter",
                location: "Nirgendsebene (diesen Ort gibt es nicht)",
                description: "Holt Kohlendioxid aus der Luft. \
                    Dieses Projekt ist erfunden und existiert nur im Emulator.",
                about: &[
                    "Große Ventilatoren saugen Luft durch einen Filter, der das CO₂ bindet.",
                    "Das Gas wird in Wasser gelöst und tief in die Erde gepumpt.",
                    "Dort wird es langsam zu Stein.",
                ],
            },
            es: Text {
                name: "Emulator – Filtro de aire",
                location: "Llanura de Ningunaparte (este lugar no existe)",
                description: "Captura dióxido de carbono del aire. \
                    Este proyecto es inventado y solo existe en el emulador.",
                about: &[
                    "Grandes ventiladores hacen pasar el aire por un filtro que retiene el CO₂.",
                    "El gas se disuelve en agua y se bombea a gran profundidad bajo tierra.",
                    "Allí se convierte poco a poco en piedra.",
                ],
            },
            fr: Text {
                name: "Emulator – Filtre à air",
                location: "Plaine de Nulle-Part (ce lieu n’existe pas)",
                description: "Capte le dioxyde de carbone de l’air. \
                    Ce projet est inventé et n’existe que dans l’émulateur.",
                about: &[
                    "De grands ventilateurs font passer l’air par un filtre qui retient le CO₂.",
                    "Le gaz est dissous dans l’eau et injecté en profondeur sous terre.",
                    "Là, il se transforme lentement en pierre.",
                ],
            },
            nl: Text {
                name: "Emulator-luchtfilter",
                location: "Nergensvlakte (deze plek bestaat niet)",
                description: "Haalt kooldioxide uit de lucht. \
                    Dit project is verzonnen en bestaat alleen in de emulator.",
                about: &[
                    "Grote ventilatoren zuigen lucht door een filter dat de CO₂ tegenhoudt.",
                    "Het gas wordt opgelost in water en diep de grond in gepompt.",
                    "Daar verandert het langzaam in steen.",
                ],
            },
        },
    },
];
